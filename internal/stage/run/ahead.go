package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"envrole/internal/vend"
	"envrole/roles"
	"envrole/roles/fault"
)

// This file says whether there is a session for a script that is about to begin,
// and renews it before where the script may need more than is left.

// renewsWithin says whether the script is served its session and so can get renewed
// ones, as opposed to finding one in its environment.
func (d *delivery) renewsWithin() bool {
	switch d.state.Session.Delivery {
	case "", roles.DeliveryEnv:
		return false
	}
	return true
}

// ready sees to it that there is a session that the script may use.
func (d *delivery) ready(ctx context.Context, s *source, subStage string) error {
	if err := usable(s); err != nil {
		return err
	}
	d.needs(s, subStage)
	if err := d.renewDue(ctx, s); err != nil {
		return err
	}
	return usable(s) // STS may have taken its time
}

// usable says why the session may not be given out any more, or nil.
func usable(s *source) error {
	err := s.served()
	if err == nil {
		return nil
	}
	class := fault.Internal
	if errors.Is(err, vend.ErrRefused) {
		class = fault.Refused
	}
	return fault.New(class, "use session", s.read().Name, err, "")
}

// needs settles for how long the script may use what it finds at its beginning.
func (d *delivery) needs(s *source, subStage string) {
	if !d.renewsWithin() {
		d.need = d.state.Need(s.now(), subStage == afterScript)
	}
}

// shortWait is how long a script waits for a renewal that can as well end while
// it runs.
const shortWait = 5 * time.Second

// renewDue renews the session between two sub-stages if less of it is left than
// the script may need. A failure is the sub-stage's only if nothing is left.
func (d *delivery) renewDue(ctx context.Context, s *source) error {
	session := s.read()
	if d.state.Renewal == nil || !session.DueFor(d.need, s.now()) {
		return nil
	}
	wait := ctx
	if d.renewsWithin() && session.Left(s.now()) > session.RenewBelow()/2 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, shortWait)
		defer cancel()
	}
	err := s.renew(wait)
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case wait.Err() != nil: // it goes on, and keepFresh says what becomes of it
		return nil
	}
	if session = s.read(); session.Left(s.now()).Round(time.Second) <= 0 {
		return fault.New(fault.ClassOf(err), "use session", session.Name, fmt.Errorf("it has expired and could not be renewed: %w", err), fault.HelpOf(err))
	}
	s.tell(err)
	return nil
}
