package shell

import (
	"fmt"
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
	Users     []string      // give each job one of these users for itself
	HomesDir  string        // absolute; each job's own directory lies in it
	Isolation string        // "none" or "namespaces"
}

// Values of the choices.
const (
	SameUserTrusted = "trusted"
	MetadataRefuse  = "refuse"
	MetadataAllow   = "allow"
	IsolationNone   = "none"
	Namespaces      = "namespaces"
)

// defaultHomes is not below the state directory, through which no job gets.
const defaultHomes = "/var/lib/envrole-homes"

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
			{Name: "users", Kind: schema.Texts, Check: checkUser},
			{Name: "same_user", OneOf: []string{SameUserTrusted}},
			{Name: "metadata", Default: MetadataRefuse, OneOf: []string{MetadataRefuse, MetadataAllow}},
			{Name: "builds_dir", Check: schema.AbsolutePath},
			{Name: "cache_dir", Check: schema.AbsolutePath},
			{Name: "homes_dir", Default: defaultHomes, Check: schema.AbsolutePath},
			{Name: "isolation", Default: IsolationNone, OneOf: []string{IsolationNone, Namespaces}},
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
		Users:     v.Texts("users"),
		HomesDir:  schema.Clean(v.Text("homes_dir")),
		Isolation: v.Text("isolation"),
	}
}

func checkTable(v schema.Values, use schema.Use, n schema.Notes) {
	ownUser := v.Given("user") || v.Given("users")
	if v.Given("user") && v.Given("same_user") {
		n.Problem("same_user", "user gives jobs a user of their own, same_user trusts them with the runner's; remove one of the two")
	}
	if use.Chosen && use.Lends && !ownUser && !v.Given("same_user") {
		n.Warn("user", "neither user nor same_user is set: jobs run as the runner's own user, and no role is lent to them; name a user of their own")
	}
	if v.Text("same_user") == SameUserTrusted {
		n.Warn("same_user", "jobs run as the runner's own user: they can read what the runner can, its AWS credentials and other jobs' files included")
	}
	if v.Text("metadata") == MetadataAllow {
		n.Warn("metadata", "jobs that reach the metadata service can take the runner's own role from it, past every rule")
	}
	if v.Text("isolation") == Namespaces && !ownUser {
		n.Problem("isolation", "namespaces keep a job of another user apart; name that user in user, or several in users")
	}
	checkUsers(v, n)
}

func checkUsers(v schema.Values, n schema.Notes) {
	if !v.Given("users") {
		return
	}
	if v.Given("user") {
		n.Problem("users", "user is one user for all jobs, users one for each; remove one of the two")
	}
	if v.Given("same_user") {
		n.Problem("users", "users gives each job a user of its own, same_user trusts jobs with the runner's; remove one of the two")
	}
	for _, key := range []string{"builds_dir", "cache_dir"} {
		if v.Given(key) {
			n.Problem(key, "with users nothing is shared between jobs: what one user leaves another cannot use; remove the key (homes_dir says where jobs work)")
		}
	}
	seen := map[string]bool{}
	for _, name := range v.Texts("users") {
		if seen[name] {
			n.Problem("users", fmt.Sprintf("%q is named twice; two jobs would share it", name))
		}
		seen[name] = true
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
