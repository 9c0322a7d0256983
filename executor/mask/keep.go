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
// written after it returned. Of those it is to forget, what is held back is no
// longer the beginning of an occurrence. Its errors are Add's, and then nothing
// is forgotten.
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

// forget goes over to the automaton that knows less, if there is one. Call it
// with keep.walking held.
func (f *Filter) forget() {
	if !f.adding.TryLock() {
		return
	}
	defer f.adding.Unlock()
	if f.keep.next != nil {
		f.walker.moveTo(f.keep.next)
		f.current.Store(f.keep.next)
		f.keep.next = nil
	}
}
