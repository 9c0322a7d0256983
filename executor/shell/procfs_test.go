package shell

import "testing"

func TestAProcessNamesItselfWithoutBecomingAnother(t *testing.T) {
	const rest = " S 41 42 43 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 1234567 8 9\n"
	want := process{pid: 7, ppid: 41, state: 'S', threads: 9, group: 42, session: 43, start: 1234567}
	for _, name := range []string{"sh", "a b", ") R 1 1 1 0", "))", "(", "\n) Z 0", ""} {
		if got, ok := parseStat(7, []byte("7 ("+name+")"+rest)); !ok || got != want {
			t.Errorf("%q: %+v, %v", name, got, ok)
		}
	}
	for _, text := range []string{"", "7", "7 (sh)", "7 (sh) S 1 2 3", "7 (sh) S one 42 43 0 -1 0 1 2 3 4 5 6 7 8 20 0 9 0 1 8"} {
		if got, ok := parseStat(7, []byte(text)); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
