package doctest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"envrole/internal/handover"
	"envrole/roles"
	"envrole/roles/revoke"
	"envrole/roles/session"
)

// steady is a role to which jobs come at an even rate: the most that it ever
// holds in denies, in entries and in characters. The sessions are so old when
// the jobs end.
func steady(t *testing.T, perHour int, duration, old time.Duration) (entries, chars int) {
	t.Helper()
	names := make([]revoke.Entry, 0, perHour)
	for range perHour {
		name, err := session.NewName(9876543210)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, revoke.Entry{SessionName: name})
	}
	begin := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	held := map[string][]revoke.Entry{}
	step := time.Hour / time.Duration(perHour)
	for i := range int(duration/time.Hour+8) * perHour {
		now := begin.Add(time.Duration(i) * step)
		expires := new(session.Base).LatestExpiry(session.Request{Grant: roles.Grant{Duration: duration}}, now.Add(-old))
		window := revoke.Window(expires.Add(revoke.Margin))
		held[window] = append(held[window], names[i%perHour])
		n, size := 0, 0
		for w, in := range held {
			if revoke.WellPast(revoke.PolicyName("aaaaaaaaaaaaa", w), now) {
				delete(held, w)
				continue
			}
			doc, err := revoke.Document(in)
			if err != nil {
				return perHour * 8, revoke.MaxPolicyChars + 1 // one window alone is too much
			}
			n, size = n+len(in), size+len(doc)
		}
		entries, chars = max(entries, n), max(chars, size)
	}
	return entries, chars
}

// The table of docs/revocation.md is what the windows and the documents come to.
func TestCapacityTable(t *testing.T) {
	rows := table(section(t, "docs/revocation.md", "## What fits"))
	if len(rows) < 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		perHour, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		duration, err := time.ParseDuration(quoted(row[1])[0])
		if err != nil {
			t.Fatal(err)
		}
		entries, chars := steady(t, perHour, duration, 0)
		want := "no"
		if chars <= revoke.MaxPolicyChars {
			want = "yes"
		}
		documented, err := strconv.Atoi(row[2])
		switch {
		case row[3] != want:
			t.Errorf("%d jobs an hour of %s: %d entries, %d characters; documented %q", perHour, duration, entries, chars, row[3])
		case err != nil || want == "yes" && (documented < entries-entries/20-1 || documented > entries+entries/20+1):
			t.Errorf("%d jobs an hour of %s: %d entries, documented %q", perHour, duration, entries, row[2])
		}
	}
}

// number reads a cell such as 1,450,000 or 0.28.
func number(t *testing.T, cell string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.ReplaceAll(cell, ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// near says whether two numbers are one but for a few per cent.
func near(a, b float64) bool { return math.Abs(a-b) <= max(a, b)/20 }

// The table of renewed sessions is what the page's own rule gives, and that rule
// what the windows come to.
func TestRenewedSessionsTable(t *testing.T) {
	columns := []struct{ duration, old time.Duration }{{15 * time.Minute, 0}, {time.Hour, 0}, {12 * time.Hour, 6 * time.Hour}, {12 * time.Hour, 0}}
	rows := table(section(t, "docs/revocation.md", "## Renewed sessions"))
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		perHour := number(t, row[0])
		for i, c := range columns {
			denies := math.Ceil(perHour * (c.duration + 150*time.Minute - c.old).Hours())
			if got := number(t, row[1+i]); got != denies {
				t.Errorf("%s jobs an hour, %s: %v denies, documented %s", row[0], c.duration, denies, row[1+i])
			}
			if got := number(t, row[5+i]); got != math.Ceil(denies/300) {
				t.Errorf("%s jobs an hour, %s: %v roles, documented %s", row[0], c.duration, math.Ceil(denies/300), row[5+i])
			}
			if perHour > 10 {
				continue
			}
			if entries, _ := steady(t, int(perHour), c.duration, c.old); !near(float64(entries), denies) {
				t.Errorf("%s, sessions %s old: the windows come to %d, documented %v", c.duration, c.old, entries, denies)
			}
		}
	}
}

// A job lends once and is revoked once; how often it renews is in the code.
func TestCallRatesTable(t *testing.T) {
	rows := table(section(t, "docs/revocation.md", "### How often AWS is called"))
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	renewals := func(life time.Duration) float64 { // an hour
		s := handover.Session{Lifetime: life}
		return float64(time.Hour) / float64(life-s.RenewBelow())
	}
	for _, row := range rows {
		jobs := number(t, row[0]) / time.Hour.Seconds()
		for i, want := range []float64{jobs, jobs, jobs, jobs * renewals(15*time.Minute), jobs * renewals(time.Hour)} {
			if got := number(t, row[1+i]); !near(got, want) {
				t.Errorf("%s jobs an hour: %.4f calls a second, documented %s", row[0], want, row[1+i])
			}
		}
	}
}

func TestAbout300Fit(t *testing.T) {
	var in []revoke.Entry
	for {
		name, err := session.NewName(9876543210)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, revoke.Entry{SessionName: name})
		if _, err := revoke.Document(in); err != nil {
			break
		}
	}
	if n := len(in) - 1; n < 270 || n > 330 {
		t.Error(fmt.Sprint(n, " sessions fit, not about 300"))
	}
}
