package settings

import (
	"fmt"
	"slices"
	"strings"

	"envrole/roles"
)

// deliveriesOf lists the ways in which a base can give a session to its scripts.
// docs/long-jobs.md has the same table. A container shares neither the host's
// loopback nor its sockets by itself.
func deliveriesOf(base string) []string {
	if base == BaseShell {
		return []string{roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile}
	}
	return []string{roles.DeliveryEnv}
}

// undeliverable says why a rule's session could not reach the base's scripts, or
// "".
func undeliverable(base, delivery string) string {
	works := deliveriesOf(base)
	known := deliveriesOf(BaseShell) // of another word, roles.Grant's check has complained
	if !slices.Contains(known, delivery) || slices.Contains(works, delivery) {
		return ""
	}
	return fmt.Sprintf("%s does not work with executor.base = %q; that takes %s", delivery, base, strings.Join(works, ", "))
}
