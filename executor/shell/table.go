package shell

import (
	"strings"
	"time"

	"envrole/roles/settings/schema"
)

// baseName is the word for executor.base.
const baseName = "shell"

// Settings is the [executor.shell] table.
type Settings struct {
	Shell     string        // "bash" or "sh"
	User      string        // run jobs as this user; "" is the runner's own
	SameUser  string        // "" or "trusted"
	Metadata  string        // "refuse" or "allow"
	BuildsDir string        // absolute; "" is builds in the job user's home
	CacheDir  string        // absolute; "" is cache in the job user's home
	Grace     time.Duration // from SIGTERM to SIGKILL of what a job left running
}

// Values of the choices.
const (
	SameUserTrusted = "trusted"
	MetadataRefuse  = "refuse"
	MetadataAllow   = "allow"
)

// Grace stays below the ten minutes between the runner's SIGTERM and its
// SIGKILL (graceful_kill_timeout).
const (
	minGrace = time.Second
	maxGrace = 9 * time.Minute
)

// Table describes [executor.shell].
func Table() schema.Table {
	return schema.Table{
		Name: baseName,
		Keys: []schema.Key{
			{Name: "shell", Default: "bash", OneOf: []string{"bash", "sh"}},
			{Name: "user", Check: checkUser},
			{Name: "same_user", OneOf: []string{SameUserTrusted}},
			{Name: "metadata", Default: MetadataRefuse, OneOf: []string{MetadataRefuse, MetadataAllow}},
			{Name: "builds_dir", Check: schema.AbsolutePath},
			{Name: "cache_dir", Check: schema.AbsolutePath},
			{Name: "grace", Kind: schema.Duration, Default: "10s", Min: minGrace, Max: maxGrace},
		},
		Deliveries: []string{"env", "endpoint", "profile"},
		Check:      checkTable,
	}
}

// ReadSettings reads what stood in the table.
func ReadSettings(v schema.Values) Settings {
	return Settings{
		Shell:     v.Text("shell"),
		User:      v.Text("user"),
		SameUser:  v.Text("same_user"),
		Metadata:  v.Text("metadata"),
		BuildsDir: schema.Clean(v.Text("builds_dir")),
		CacheDir:  schema.Clean(v.Text("cache_dir")),
		Grace:     v.Duration("grace"),
	}
}

func checkTable(v schema.Values, use schema.Use, n schema.Notes) {
	if v.Given("user") && v.Given("same_user") {
		n.Problem("same_user", "user gives jobs a user of their own, same_user trusts them with the runner's; remove one of the two")
	}
	if use.Chosen && use.Lends && !v.Given("user") && !v.Given("same_user") {
		n.Warn("user", "neither user nor same_user is set: jobs run as the runner's own user, and no role is lent to them; name a user of their own")
	}
	if v.Text("same_user") == SameUserTrusted {
		n.Warn("same_user", "jobs run as the runner's own user: they can read what the runner can, its AWS credentials and other jobs' files included")
	}
	if v.Text("metadata") == MetadataAllow {
		n.Warn("metadata", "jobs that reach the metadata service can take the runner's own role from it, past every rule")
	}
}

// checkUser accepts what useradd does, with upper case and dots as directories
// use them, but no number: a name cannot be taken for another user's id.
func checkUser(v string) string {
	ok := func(c rune) bool { return letter(c) || '0' <= c && c <= '9' || strings.ContainsRune("_.-", c) }
	switch {
	case v == "root":
		return "jobs of root can read everything the runner can; name a user of their own"
	case len(v) > 32 || strings.ContainsFunc(v, func(c rune) bool { return !ok(c) }) || !letter(rune(v[0])) && v[0] != '_':
		return "not a user name; write the name (not the number) of an existing user"
	}
	return ""
}

func letter(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
