package driver

import (
	"envrole/roles"
	"envrole/roles/settings/schema"
)

// Name is the word for executor.base.
const Name = "driver"

// The ways in which a session reaches the wrapped driver's scripts.
const (
	InjectScript = "script" // exported by a copy of the script
	InjectEnv    = "env"    // in the driver's environment, plain and as CUSTOM_ENV_*
	InjectBoth   = "both"
)

// The keys of [executor.driver]. The four commands are named as in the runner's
// [runners.custom].
const (
	keyConfig  = "config_exec"
	keyPrepare = "prepare_exec"
	keyRun     = "run_exec"
	keyCleanup = "cleanup_exec"
	keyInject  = "inject"
)

// commandKeys are the keys that hold a program and its arguments.
func commandKeys() []string { return []string{keyConfig, keyPrepare, keyRun, keyCleanup} }

// Table implements executor.Base. A session can be delivered by env alone: a
// foreign driver shares neither loopback nor files with this host.
func (Base) Table() schema.Table {
	t := schema.Table{
		Name: Name, Deliveries: []string{roles.DeliveryEnv}, PassAWS: true, Check: check,
	}
	for _, key := range commandKeys() {
		t.Keys = append(t.Keys, schema.Key{Name: key, Kind: schema.Texts})
	}
	t.Keys = append(t.Keys, schema.Key{
		Name: keyInject, Kind: schema.Text, Default: InjectScript, OneOf: []string{InjectScript, InjectEnv, InjectBoth},
	})
	return t
}

func check(v schema.Values, use schema.Use, n schema.Notes) {
	for _, key := range commandKeys() {
		if argv := v.Texts(key); len(argv) > 0 {
			if msg := schema.AbsolutePath(argv[0]); msg != "" {
				n.Problem(key, "the program "+msg)
			}
		}
	}
	if !use.Chosen {
		return
	}
	if !v.Given(keyRun) {
		n.Problem(keyRun, "missing: without it the wrapped driver can run no script")
	}
	if !use.Lends {
		return
	}
	n.Warn("", "what the wrapped driver isolates cannot be seen from here: whether its jobs run as the runner's own user, reach the metadata service or each other; docs/bases.md says what to look at")
	for _, key := range commandKeys() {
		for _, msg := range unchecked(v.Texts(key)) {
			n.Warn(key, msg)
		}
	}
	if v.Text(keyInject) != InjectScript {
		n.Warn(keyInject, "shows the session to everything that the wrapped driver starts, and to whoever may read its environment")
	}
}
