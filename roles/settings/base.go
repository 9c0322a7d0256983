package settings

import (
	"slices"
	"strings"
	"time"

	"envrole/roles/settings/schema"
)

// This file joins the reader of the file with the tables of the bases, which
// describe themselves by package schema.

// executor reads [executor] and the table of every base. A table that is not
// chosen is held to the same rules: it is there to be switched to.
func (r *reader) executor(t *table, lends bool) Executor {
	e := Executor{Base: t.text("base"), PassEnv: t.texts("pass_env"), Tables: map[string]schema.Values{}}
	passAWS := false
	for _, b := range r.bases {
		sub := t.tables[b.Name]
		e.Tables[b.Name] = values{sub}
		chosen := b.Name == e.Base
		passAWS = passAWS || chosen && b.PassAWS
		if b.Check != nil {
			b.Check(values{sub}, schema.Use{Chosen: chosen, Lends: lends}, notes{sub})
		}
	}
	t.passEnv(e.PassEnv, passAWS)
	return e
}

// passEnv checks executor.pass_env.
func (t *table) passEnv(names []string, aws bool) {
	for i, name := range names {
		at := t.place.key("pass_env").item(i)
		if msg := checkPassEnv(name); msg != "" && (!aws || !awsName(name)) {
			t.problem("pass_env", at, "%s", msg)
		} else if looksSecret(name) {
			t.reader.warnings = append(t.reader.warnings,
				t.note("pass_env", at, name+" looks like a secret: every job on this runner can read it"))
		}
	}
}

func awsName(name string) bool { return strings.HasPrefix(name, "AWS_") && variableName(name) }

// values shows a table to its base.
type values struct{ t *table }

func (v values) Text(key string) string    { return v.t.text(key) }
func (v values) Texts(key string) []string { return slices.Clone(v.t.texts(key)) }
func (v values) Flag(key string) bool      { return v.t.flag(key) }
func (v values) Given(key string) bool     { return v.t.given(key) }

func (v values) Duration(key string) time.Duration { return v.t.length(key) }
func (v values) Number(key string) int64           { return v.t.number(key) }

func (v values) Pairs(key string) map[string]string {
	pairs, _ := v.t.values[key].(map[string]string)
	return pairs
}

// notes takes what a base's check finds.
type notes struct{ t *table }

func (n notes) Problem(key, msg string) { n.t.problem(key, n.t.place.key(key), "%s", msg) }
func (n notes) Warn(key, msg string)    { n.t.warn(key, "%s", msg) }
