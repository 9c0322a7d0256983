package settings

import (
	"os"
	"strings"
	"testing"

	"envrole/roles"
)

func TestDeliveriesAreThoseOfTheBase(t *testing.T) {
	for base, want := range map[string]string{BaseShell: "env endpoint profile", BaseDocker: "env", BaseDriver: "env"} {
		for _, d := range []string{"", roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile} {
			why := undeliverable(base, d)
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
	_, err := Parse("f", []byte(good+"delivery = 'file'\n"))
	if err == nil || !strings.Contains(err.Error(), `f:12: role.delivery: "file" is not`) || strings.Contains(err.Error(), "does not work") {
		t.Errorf("got %v", err)
	}
}
