package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"envrole/roles/seal"
)

// fullness is the percentage of an AWS size limit from which a warning is due.
const fullness = 80

// errAnswer marks an answer that is well-formed and yet no usable session.
var errAnswer = errors.New("STS's answer is not usable")

const answerHelp = "The endpoint does not behave like STS. If this stays, check AWS_ENDPOINT_URL and proxies in the runner's environment."

// read turns an answer into a session. It refuses one that lacks a field, and
// one whose assumed-role id does not end in the name that was asked: revocation
// goes by that name, so such a session could not be taken back.
func read(out *sts.AssumeRoleOutput, h hop) (Session, error) {
	c, u := out.Credentials, out.AssumedRoleUser
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" ||
		aws.ToString(c.SessionToken) == "" || c.Expiration == nil || c.Expiration.IsZero() {
		return Session{}, fmt.Errorf("%w: credentials are missing", errAnswer)
	}
	if u == nil || aws.ToString(u.Arn) == "" {
		return Session{}, fmt.Errorf("%w: the assumed role is missing", errAnswer)
	}
	if id, name, ok := strings.Cut(aws.ToString(u.AssumedRoleId), ":"); !ok || id == "" || name != h.name {
		return Session{}, fmt.Errorf("%w: the session has another name than %s", errAnswer, h.name)
	}
	requestID, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	serverTime, _ := awsmiddleware.GetServerTime(out.ResultMetadata)
	s := Session{
		AccessKeyID:     aws.ToString(c.AccessKeyId),
		SecretAccessKey: seal.NewSecret(aws.ToString(c.SecretAccessKey)),
		SessionToken:    seal.NewSecret(aws.ToString(c.SessionToken)),
		Expiration:      c.Expiration.UTC(),
		RoleARN:         h.roleARN,
		AssumedRoleARN:  aws.ToString(u.Arn),
		AssumedRoleID:   aws.ToString(u.AssumedRoleId),
		Name:            h.name,
		Region:          h.region,
		SourceIdentity:  aws.ToString(out.SourceIdentity),
		//nolint:staticcheck // deprecated by AWS in favour of the token's size, but still the limit that PackedPolicyTooLarge means
		PackedPolicySize: int(aws.ToInt32(out.PackedPolicySize)),
		TokenUtilization: int(aws.ToInt32(out.SessionTokenUtilization)),
		RequestID:        printable(requestID, 64),
		Duration:         h.duration,
		DroppedTags:      h.dropped,
		Warnings:         h.warnings,
	}
	if !serverTime.IsZero() {
		s.ServerTime = serverTime.UTC()
	}
	for _, w := range []struct {
		what    string
		percent int
	}{{"policies and tags", s.PackedPolicySize}, {"session token", s.TokenUtilization}} {
		if w.percent > fullness {
			s.Warnings = append(s.Warnings, fmt.Sprintf(
				"The session's %s take %d %% of AWS's limit; above 100 %% no session is given.", w.what, w.percent))
		}
	}
	return s, nil
}
