package doctest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"envrole/roles"
	"envrole/roles/revoke"
	"envrole/roles/session"
)

// steady is a role to which jobs come at an even rate and end at once: the most
// that it ever holds in denies, in entries and in characters.
func steady(t *testing.T, perHour int, duration time.Duration) (entries, chars int) {
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
	for i := 0; i < 8*perHour; i++ {
		now := begin.Add(time.Duration(i) * step)
		expires := new(session.Base).LatestExpiry(session.Request{Grant: roles.Grant{Duration: duration}}, now)
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
		entries, chars := steady(t, perHour, duration)
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
