package settings

import (
	"fmt"
	"slices"
	"strings"

	"envrole/roles"
)

// undeliverable says why a rule's session could not reach the scripts of the
// chosen base, or "".
func (r *reader) undeliverable(base, delivery string) string {
	known := []string{roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile} // of another word, roles.Grant's check has complained
	for _, b := range r.bases {
		if b.Name == base && slices.Contains(known, delivery) && !slices.Contains(b.Deliveries, delivery) {
			return fmt.Sprintf("%s does not work with executor.base = %q; that takes %s", delivery, base, strings.Join(b.Deliveries, ", "))
		}
	}
	return ""
}
