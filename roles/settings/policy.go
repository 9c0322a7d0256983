package settings

import (
	"strings"
	"time"

	"envrole/roles/settings/schema"
)

// Policy is the [policy] table: a program of the site that has the last word on
// each role. Command is empty where there is none.
type Policy struct {
	Command []string // the program's absolute path and its arguments
	SHA256  string   // of the program's file, 64 hex digits in lower case
	Timeout time.Duration
}

// maxPolicyTimeout keeps a job from waiting long for an answer that is not
// coming: it is refused then.
const maxPolicyTimeout = time.Minute

func policySection() *section {
	return &section{name: "policy", entries: []entry{
		{name: "command", kind: texts},
		{name: "sha256", kind: text, check: checkSHA256},
		{name: "timeout", kind: duration, def: "10s", min: minTimeout, max: maxPolicyTimeout},
	}}
}

func policyOf(t *table) Policy {
	p := Policy{Command: t.texts("command"), SHA256: strings.ToLower(t.text("sha256")), Timeout: t.length("timeout")}
	switch {
	case len(p.Command) == 0:
		switch {
		case t.given("sha256"):
			t.problem("sha256", t.place.key("sha256"), "has no meaning without command")
		case t.given("timeout") && !t.bad["command"]: // the line may just have got lost
			t.problem("timeout", t.place.key("timeout"), "has no meaning without command: no policy is asked then")
		}
		return p
	case p.SHA256 == "" && !t.bad["sha256"]:
		t.problem("sha256", t.place, "missing: the program is run only if its file has this digest; sha256sum %s prints it", shellWord(p.Command[0]))
	}
	if msg := schema.AbsolutePath(p.Command[0]); msg != "" {
		t.problem("command", t.place.key("command").item(0), "%s", msg)
	}
	return p
}

func checkSHA256(v string) string {
	if len(v) != 64 || strings.Trim(strings.ToLower(v), "0123456789abcdef") != "" {
		return "not a SHA-256 digest of 64 hex digits, as sha256sum prints it"
	}
	return ""
}
