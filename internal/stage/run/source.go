package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"envrole/internal/crash"
	"envrole/internal/handover"
	"envrole/internal/renewal"
	"envrole/internal/vend"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// source holds the session of a job while one of its scripts runs, and renews
// it ahead of need. It promises that the log filter knows a session before
// anybody gets it, that one renewal runs at a time, and that nothing is given
// out for a lease that is not lent any more, past its deadline, or without its
// runner.
type source struct {
	watch  *lease.Watch
	learn  func(secrets ...string) error                 // the log filter's
	helper func(ctx context.Context, failures int) error // renews and seals; failures in a row before
	say    func(format string, args ...any)              // one line in the job's log
	reopen func() (handover.State, error)                // reads what is sealed now
	now    func() handover.Instant

	ctx     context.Context //nolint:containedctx // a renewal outlives the request that began it, and ends with the script
	running sync.WaitGroup
	wake    chan struct{} // tells keepFresh to look now
	said    news          // until keepFresh runs, by who begins; then by that alone

	mu        sync.Mutex
	session   handover.Session
	flight    chan struct{} // closed when the running renewal has ended
	last      error         // how the last renewal ended
	failures  int           // in a row
	again     bool          // a final answer to this session was asked again; see mayAskAgain
	pause     time.Duration // after the last failure
	notBefore time.Time     // when the next renewal may begin
	closed    bool          // no renewal begins any more
}

// close waits for the renewal that runs, whose context has ended, and lets none
// begin any more: a tool's request may still be under way.
func (s *source) close() {
	s.bar()
	s.running.Wait()
	s.watch.Close()
}

// bar lets no renewal begin any more. What there is may still be given out.
func (s *source) bar() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// renew renews the session and waits for it until ctx ends. Those who come while
// a renewal runs share its outcome; those who come soon after a failure get
// that again, and so does everybody after a final one, but for one more try.
func (s *source) renew(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		defer s.mu.Unlock()
		return errEnded
	}
	if s.flight == nil {
		if s.barred() {
			defer s.mu.Unlock()
			return s.last
		}
		s.flight = make(chan struct{})
		s.running.Go(s.fly)
	}
	flight := s.flight
	s.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// fly is one renewal.
func (s *source) fly() {
	err := s.renewOnce(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = err != nil && renewal.Final(s.last)
	s.last = err
	if err == nil {
		s.pause, s.failures = 0, 0
	} else {
		s.failures++
		s.pause = nextPause(s.pause, s.session.Lifetime)
		s.notBefore = time.Now().Add(jittered(s.pause))
	}
	close(s.flight)
	s.flight = nil
}

func (s *source) renewOnce(ctx context.Context) error {
	crash.Point("refresh-begun")
	s.mu.Lock()
	failures := s.failures
	s.mu.Unlock()
	if err := s.helper(ctx, failures); err != nil {
		return err
	}
	state, err := s.reopen()
	if err != nil {
		return err
	}
	if state.Session == nil {
		return fault.New(fault.Internal, "renew session", "", errors.New("the sealed state holds none"), "")
	}
	// First the filter, then the job.
	if err := s.learn(state.Session.Secrets()...); err != nil {
		return fault.New(fault.Internal, "renew session", "", err, "")
	}
	// Learning takes some megabytes for a moment; a script may run for hours.
	debug.FreeOSMemory()
	crash.Point("refresh-done")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = *state.Session
	if s.session.Due(s.now()) {
		// As a success it would be asked for again at once, and for ever.
		return fault.New(fault.Passing, "renew session", s.session.Name, errShort, "See that this host's clock is right.")
	}
	return nil
}

var (
	errEnded = errors.New("the script has ended")
	errShort = errors.New("the renewed one is about to end as well")
)

// tooLittle and tooLittleShare bound what is left of a session that is given
// out only if no renewal comes: before a tool has used it, it has ended.
const (
	tooLittle      = 2 * time.Second
	tooLittleShare = 10
)

// current is the session as it may be given out now. If it has ended, or as good
// as ended, the renewal that is due is waited for until ctx ends.
func (s *source) current(ctx context.Context) (handover.Session, error) {
	if err := s.served(); err != nil {
		return handover.Session{}, err
	}
	session := s.read()
	if session.Due(s.now()) {
		s.hurry()
	}
	if left := session.Left(s.now()); left > 0 && left >= min(tooLittle, session.Lifetime/tooLittleShare) {
		return session, nil
	}
	err := s.renew(ctx)
	session = s.read()
	if err != nil && session.Left(s.now()) <= 0 {
		if renewal.Final(err) {
			err = fmt.Errorf("%w: %w", vend.ErrRefused, err)
		}
		return handover.Session{}, fmt.Errorf("the session has expired and was not renewed: %w", err)
	}
	return session, s.served() // STS may have taken its time
}

// served says why nothing may be given out any more, or nil. It looks at the
// lease and the runner each time: what is being taken back is given to nobody.
func (s *source) served() error {
	le, err := s.watch.Get()
	switch {
	case errors.Is(err, lease.ErrNotFound):
		return fmt.Errorf("%w: the lease of the session is gone", vend.ErrRefused)
	case errors.Is(err, lease.ErrDamaged), errors.Is(err, lease.ErrNewer):
		return fmt.Errorf("%w: the lease cannot be understood", vend.ErrRefused)
	case err != nil: // such as too many open files: nothing is known, so nothing is given
		return errors.New("the lease of the session could not be read just now")
	case le.State != lease.Lent:
		return fmt.Errorf("%w: the session is being taken back", vend.ErrRefused)
	case time.Now().After(le.Deadline):
		return fmt.Errorf("%w: the job's deadline has passed", vend.ErrRefused)
	case s.watch.OwnerGone(le):
		return fmt.Errorf("%w: the runner of the job is gone", vend.ErrRefused)
	}
	return nil
}

func (s *source) read() handover.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session
}

// hurry makes keepFresh look at the clock now: after a suspension its timer is
// late.
func (s *source) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
