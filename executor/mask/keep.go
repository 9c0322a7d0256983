package mask

// This file promises that a filter which learns ever new secrets does not grow
// for ever, and that what it is to keep is masked without a gap.

// Keep makes the filter mask the given secrets and no others, in all that is
// written after it returned. Of those it is to forget, what is held back is no
// longer the beginning of an occurrence. It refuses what Add refuses, and then
// nothing is forgotten.
func (f *Filter) Keep(secrets ...string) error {
	if err := checkAll(secrets); err != nil {
		return err
	}
	f.adding.Lock()
	defer f.adding.Unlock()
	// Not a clone that forgets: the two would be in memory at once with what the
	// stream is walked with.
	next := (&automaton{numbering: f.current.Load().numbering + 1}).clone(secrets)
	next.learnAll(secrets)
	f.current.Store(next)
	// Whoever writes now goes over with the next write; who does not may be
	// silent for hours.
	if f.walking.TryLock() {
		f.walker.use(next)
		f.walking.Unlock()
	}
	return nil
}
