package docker

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"envrole/executor"
	"envrole/roles/settings/schema"
)

// values are the values of a table, with its defaults.
type values map[string]any

func (v values) key(name string) schema.Key {
	for _, k := range New(Engine{}).Table().Keys {
		if k.Name == name {
			return k
		}
	}
	panic("no key " + name)
}

func (v values) Text(key string) string {
	if s, ok := v[key].(string); ok {
		return s
	}
	return v.key(key).Default
}

func (v values) Texts(key string) []string {
	_ = v.key(key)
	s, _ := v[key].([]string)
	return s
}

func (v values) Flag(key string) bool { b, _ := v[key].(bool); return b }

func (v values) Duration(key string) time.Duration {
	if d, ok := v[key].(time.Duration); ok {
		return d
	}
	d, err := time.ParseDuration(v.key(key).Default)
	if err != nil {
		panic(err)
	}
	return d
}

func (v values) Number(key string) int64 {
	if n, ok := v[key].(int64); ok {
		return n
	}
	n, err := strconv.ParseInt(v.key(key).Default, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (v values) Pairs(string) map[string]string { return nil }

func (v values) Given(key string) bool { _, ok := v[key]; return ok }

// notes collects what a check says.
type notes struct{ problems, warnings []string }

func (n *notes) Problem(key, msg string) { n.problems = append(n.problems, key+": "+msg) }
func (n *notes) Warn(key, msg string)    { n.warnings = append(n.warnings, key+": "+msg) }

const token = "glcbt-66_Fak3J0bT0kenFak3J0b"

// jobOf is a job with these members in its payload.
func jobOf(t testing.TB, members string, v values) executor.Job {
	t.Helper()
	path := filepath.Join(t.TempDir(), "response.json")
	text := `{"id":77,"token":"` + token + `","job_info":{"project_id":5}`
	if members != "" {
		text += "," + members
	}
	if err := os.WriteFile(path, []byte(text+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return executor.Job{LeaseID: "lease-of-this-job", JobID: 77, ProjectID: 5, PayloadFile: path, StateDir: "/var/lib/envrole", Values: v}
}

// environ is what a runner hands to its driver: pairs of name and value.
func environ(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if "CUSTOM_ENV_"+pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// planOf plans a job that has these members.
func planOf(t testing.TB, members string, v values, env ...string) (Plan, []string, error) {
	t.Helper()
	return makePlan(jobOf(t, members, v), environ(env...))
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
