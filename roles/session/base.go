package session

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"envrole/roles/fault"
)

// limits bound what one session may cost when AWS or the network is slow.
type limits struct {
	connect  time.Duration // TCP, and again TLS
	attempt  time.Duration // one HTTP exchange, connecting and reading included
	attempts int           // per AssumeRole call, for throttling, 5xx and network errors, whatever AWS_MAX_ATTEMPTS says
	backoff  time.Duration // longest wait between two attempts
	lend     time.Duration // all of Lend or As, whatever the caller's deadline
}

// lendLimit is the longest that Lend may take, so that a caller without a
// deadline cannot hang; it stays below the expiry margin.
const lendLimit = 2 * time.Minute

// standardLimits: a healthy STS answers in well under a second, so ten seconds
// for an attempt leave room for three of them, with waits of at most 5 s, in a
// minute.
func standardLimits() limits {
	return limits{
		connect: 3 * time.Second, attempt: 10 * time.Second,
		attempts: retry.DefaultMaxAttempts, backoff: 5 * time.Second, lend: lendLimit,
	}
}

// Base is the runner's own access to AWS.
type Base struct {
	cfg aws.Config
	lim limits
}

// LoadBase reads the runner's own AWS configuration from the SDK's own
// environment and files (AWS_PROFILE, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, instance
// role, ...). region, if not "", wins over theirs. No credential is fetched
// yet. The errors are permanent; a context that ends gives a passing one.
func LoadBase(ctx context.Context, region string) (*Base, error) {
	return loadBase(ctx, region, standardLimits())
}

func loadBase(ctx context.Context, region string, lim limits) (*Base, error) {
	client := awshttp.NewBuildableClient().
		WithTimeout(lim.attempt).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = lim.connect }).
		WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = lim.connect })
	opts := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = lim.attempts, lim.backoff
			})
		}),
		// The SDK's logger could print requests; nothing of it may reach the
		// job log.
		config.WithLogger(logging.Nop{}),
	}
	if region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, loadFault(ctx, err)
	}
	cfg.ClientLogMode = 0
	return &Base{cfg: cfg, lim: lim}, nil
}

// Config is the runner's own AWS configuration, for a client of another AWS
// service. It holds a provider of the runner's own credentials: it must not
// reach a job.
func (b *Base) Config() aws.Config { return b.cfg.Copy() }

// Region is the region that a session gets where its grant names none.
func (b *Base) Region() string { return b.cfg.Region }

// loadFault keeps the SDK's text to itself: it may quote lines of the shared
// credentials file.
func loadFault(ctx context.Context, err error) error {
	const op = "read the runner's AWS configuration"
	if ctx.Err() != nil {
		return fault.New(fault.Passing, op, "", ctx.Err(), "")
	}
	var profile config.SharedConfigProfileNotExistError
	if errors.As(err, &profile) {
		return fault.New(fault.Permanent, op, "", errors.New("profile "+printable(profile.Profile, 64)+" does not exist"),
			"Correct AWS_PROFILE in the runner's environment, or add the profile to the runner user's ~/.aws/config.")
	}
	return fault.New(fault.Permanent, op, "", errors.New("the SDK does not accept it"),
		"Check the AWS_* variables of the runner's environment and its ~/.aws/config, ~/.aws/credentials and AWS_CA_BUNDLE files. "+
			"`aws sts get-caller-identity`, run as the runner's user, shows the problem.")
}
