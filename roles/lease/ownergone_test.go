package lease

import "testing"

func TestOnlyARunnerThatCertainlyEndedIsGone(t *testing.T) {
	l := &Ledger{host: Host{BootID: "b", PIDNamespace: "p", Gone: func(pid int, start uint64) bool { return pid != 7 || start != 70 }}}
	for _, tc := range []struct {
		name string
		o    Owner
		gone bool
	}{
		{"lives", Owner{BootID: "b", PIDNamespace: "p", PID: 7, StartTime: 70}, false},
		{"its pid is used again", Owner{BootID: "b", PIDNamespace: "p", PID: 7, StartTime: 71}, true},
		{"ended", Owner{BootID: "b", PIDNamespace: "p", PID: 8, StartTime: 70}, true},
		{"another boot", Owner{BootID: "x", PIDNamespace: "p", PID: 8}, false},
		{"another pid namespace", Owner{BootID: "b", PIDNamespace: "x", PID: 8}, false},
		{"unknown", Owner{BootID: "b", PIDNamespace: "p"}, false},
		{"init", Owner{BootID: "b", PIDNamespace: "p", PID: 1}, false},
		{"an unknown host", Owner{PID: 8}, false},
	} {
		if got := l.OwnerGone(Lease{Owner: tc.o}); got != tc.gone {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}
