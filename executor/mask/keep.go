package mask

import "sync"

// This file promises that a filter which learns ever new secrets does not grow
// for ever, and that what it is to keep is masked without a gap.

// keeping is the part of a Filter that forgets.
type keeping struct {
	walking sync.Mutex // held while the stream is walked over
	next    *automaton // knows only what is to be kept; under Filter.adding
}

// Keep makes the filter mask the given secrets and no others, in all that is
// written after it returned. Those it is to forget may be masked for a little
// longer: while the end of the stream may be the beginning of an occurrence.
// Its errors are Add's, and then nothing is forgotten.
func (f *Filter) Keep(secrets ...string) error {
	if err := f.Add(secrets...); err != nil {
		return err
	}
	next := &automaton{}
	for _, s := range secrets {
		next.learn(s)
	}
	f.adding.Lock()
	f.keep.next = next
	f.adding.Unlock()
	// Else whoever writes now does it with the next write.
	if f.keep.walking.TryLock() {
		f.forget()
		f.keep.walking.Unlock()
	}
	return nil
}

// forget goes over to the automaton that knows less, if there is one and no
// walk is under way that knows the nodes of the old one by their numbers. Call
// it with keep.walking held.
func (f *Filter) forget() {
	if len(f.walker.threads) > 0 || !f.adding.TryLock() {
		return
	}
	defer f.adding.Unlock()
	if f.keep.next != nil {
		f.current.Store(f.keep.next)
		f.keep.next = nil
	}
}
