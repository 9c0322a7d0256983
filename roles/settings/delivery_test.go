package settings

import (
	"os"
	"slices"
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/settings/schema"
)

func TestDeliveriesAreThoseOfTheBase(t *testing.T) {
	all := []string{roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile}
	few := schema.Table{Name: "other", Deliveries: []string{roles.DeliveryEnv}}
	r := &reader{bases: append(testBases(), few)}
	for _, base := range r.bases {
		for _, d := range append(all, "") {
			why := r.undeliverable(base.Name, d)
			if works := d == "" || slices.Contains(base.Deliveries, d); works != (why == "") {
				t.Errorf("%s, %q: %q", base.Name, d, why)
			}
		}
	}
	if why := r.undeliverable("other", roles.DeliveryProfile); !strings.Contains(why, `profile does not work with executor.base = "other"; that takes env`) {
		t.Errorf("got %q", why)
	}
}

// The page's table has a row for each base, and promises what the base takes.
func TestTheTableOfDeliveriesIsThatOfTheBases(t *testing.T) {
	page, err := os.ReadFile("../../docs/long-jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n| base | `env` | `endpoint` | `profile` |\n| --- | --- | --- | --- |\n")
	text, _, _ := strings.Cut(rest, "\n\n")
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		rows[strings.Trim(cells[0], "`")] = cells[1:]
	}
	if !ok || len(rows) != len(testBases()) {
		t.Errorf("the table: %t, rows of %v", ok, rows)
	}
	for _, base := range testBases() {
		cells := rows[base.Name]
		for i, d := range []string{roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile} {
			want := "no"
			if slices.Contains(base.Deliveries, d) {
				want = "yes"
			}
			if i >= len(cells) || !strings.HasPrefix(cells[i], want) {
				t.Errorf("%s, %s: want %s of %q", base.Name, d, want, cells)
			}
		}
	}
}

func TestAnUnknownDeliveryIsAnError(t *testing.T) {
	_, err := Parse("f", []byte(good+"delivery = 'file'\n"), testBases())
	if err == nil || !strings.Contains(err.Error(), `f:12: role.delivery: "file" is not`) || strings.Contains(err.Error(), "does not work") {
		t.Errorf("got %v", err)
	}
}
