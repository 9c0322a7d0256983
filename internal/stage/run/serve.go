package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"envrole/executor"
	"envrole/internal/vend"
	"envrole/roles"
	"envrole/roles/fault"
)

// serve gives the session to the script in the way that its rule names, and a
// function that ends that. ctx bounds the beginning: what is served then ends with
// the source's own context.
func (d *delivery) serve(ctx context.Context, s *source) (env []string, stop func(), err error) {
	session := s.read()
	switch session.Delivery {
	case "", roles.DeliveryEnv:
		return session.Env(s.now()), func() {}, nil
	case roles.DeliveryEndpoint:
		env, stop, err = d.endpoint(ctx, s)
	case roles.DeliveryProfile:
		env, stop, err = d.profile(s)
	default:
		err = errors.New("this version does not know it")
	}
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "deliver session by", session.Delivery, err, "")
	}
	if d.state.Renewal != nil {
		s.running.Go(func() { s.keepFresh(s.ctx) })
	}
	return append(session.Names(), env...), stop, nil
}

// listenLimit is how long a base may take to listen. A container may be paused.
const listenLimit = 2 * time.Minute

var errDeaf = fmt.Errorf("the loopback of the job's scripts did not answer within %s", listenLimit)

// endpoint serves the container-credentials protocol. The files in the home of
// the job's user would win over it, so none are read: they may be of another
// job.
func (d *delivery) endpoint(ctx context.Context, s *source) ([]string, func(), error) {
	listen := vend.Loopback
	if base, own := d.base.(executor.Loopback); own {
		listen = base.Listen
	}
	beginning, cancel := context.WithTimeoutCause(ctx, listenLimit, errDeaf)
	defer cancel()
	ln, err := listen(beginning)
	if err != nil {
		return nil, nil, err
	}
	e, err := vend.Serve(ln, s.provide)
	if err != nil {
		return nil, nil, err
	}
	if err := d.hide(e.Token()); err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	return append(e.Env(), noFiles()...), func() { _ = e.Close() }, nil
}

// profile serves a unix socket to the job's user, and writes the config file
// that leads there.
func (d *delivery) profile(s *source) ([]string, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	local, ok := d.base.(executor.LocalUser)
	if !ok {
		return nil, nil, errors.New("the base's scripts do not run on this host")
	}
	user, _ := local.JobUser()
	dir := vend.Dir(d.handed.LeaseID)
	d.shared = append(d.shared, dir)
	k, err := vend.Listen(dir, user.UID, user.GID, self, s.read().Region, s.provide)
	if err != nil {
		return nil, nil, err
	}
	return k.Env(), func() { _ = k.Close() }, nil
}

// provide is the session for a job's tool.
func (s *source) provide(ctx context.Context) (vend.Credentials, error) {
	session, err := s.current(ctx)
	if err != nil {
		return vend.Credentials{}, err
	}
	c := vend.Credentials{
		AccessKeyID: session.AccessKeyID, SecretAccessKey: session.SecretAccessKey, SessionToken: session.SessionToken,
		Expiration: session.ToldEnd(s.now()),
	}
	if parts := strings.SplitN(session.RoleARN, ":", 6); len(parts) == 6 {
		c.AccountID = parts[4]
	}
	return c, nil
}
