package stage

import "errors"

var (
	errNotHanded = errors.New("the config stage has not run for this job")
	errBadLease  = errors.New("not a lease id")
)
