package lease

// OwnerGone says whether the runner process of the lease has certainly ended,
// whoever holds the lease. Dead spares a job while a stage of it still runs; a
// stage asks this of itself, so as not to keep a session alive for nobody. On
// another boot or in another pid namespace it cannot tell, and says no.
func (l *Ledger) OwnerGone(le Lease) bool {
	return l.knows(le.Owner) && l.host.Gone(le.Owner.PID, le.Owner.StartTime)
}

// knows says whether an owner's pid means something here.
func (l *Ledger) knows(o Owner) bool {
	if o.BootID == "" || o.PIDNamespace == "" || o.PID <= 1 {
		return false
	}
	return o.BootID == l.host.BootID && o.PIDNamespace == l.host.PIDNamespace
}
