package lease

// OwnerGone says whether the runner process of the lease has certainly ended,
// whoever holds the lease. Dead spares a job while a stage of it still runs; a
// stage asks this of itself, so as not to keep a session alive for nobody. On
// another boot or in another pid namespace it cannot tell, and says no.
func (l *Ledger) OwnerGone(le Lease) bool {
	o := le.Owner
	if o.BootID == "" || o.PIDNamespace == "" || o.PID <= 1 {
		return false
	}
	return o.BootID == l.host.BootID && o.PIDNamespace == l.host.PIDNamespace && l.host.Gone(o.PID, o.StartTime)
}
