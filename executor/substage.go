package executor

import (
	"slices"
	"strings"
)

// UserSubStage says whether the sub-stage holds the author's own commands, the
// only ones that get credentials by default. The runner hands step_script over
// as build_script, and steps of newer jobs as step_<name>.
func UserSubStage(name string) bool {
	return name == "build_script" || name == "after_script" || strings.HasPrefix(name, "step_")
}

// GetsCredentials says whether the sub-stage gets the session: the user
// sub-stages always, others where the rule's sub_stages names them.
func GetsCredentials(name string, extra []string) bool {
	return UserSubStage(name) || slices.Contains(extra, name)
}
