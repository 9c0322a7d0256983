package settings

import (
	"os"
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/settings/schema"
)

func TestDeliveriesAreThoseOfTheBase(t *testing.T) {
	r := &reader{bases: append(testBases(), schema.Table{Name: "other", Deliveries: []string{roles.DeliveryEnv}})}
	for base, want := range map[string]string{"shell": "env endpoint profile", "other": "env"} {
		for _, d := range []string{"", roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile} {
			why := r.undeliverable(base, d)
			if works := strings.Contains(want, d); works != (why == "") {
				t.Errorf("%s, %q: %q", base, d, why)
			}
		}
	}
	page, err := os.ReadFile("../../docs/long-jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "| `shell` | yes | yes | yes |") {
		t.Error("docs/long-jobs.md has another table")
	}
}

func TestAnUnknownDeliveryIsAnError(t *testing.T) {
	_, err := Parse("f", []byte(good+"delivery = 'file'\n"), testBases())
	if err == nil || !strings.Contains(err.Error(), `f:12: role.delivery: "file" is not`) || strings.Contains(err.Error(), "does not work") {
		t.Errorf("got %v", err)
	}
}
