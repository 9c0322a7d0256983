package fakeaws

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// request is a valid AssumeRole request, changed.
func request(change func(*sts.AssumeRoleInput)) *sts.AssumeRoleInput {
	in := &sts.AssumeRoleInput{RoleArn: aws.String(deployRole), RoleSessionName: aws.String("gl-1-abc")}
	if change != nil {
		change(in)
	}
	return in
}

func tags(pairs ...string) []types.Tag {
	var out []types.Tag
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return out
}

func TestAssumeRoleChecksItsParameters(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	client := stsAs(s, runner(t, s))
	many := make([]string, 0, 102)
	for i := range 51 {
		many = append(many, "k"+strconv.Itoa(i), "")
	}
	type in = sts.AssumeRoleInput
	for name, c := range map[string]struct {
		change     func(*in)
		code, text string
	}{
		"valid":                   {},
		"name with a slash":       {func(i *in) { i.RoleSessionName = aws.String("a/b") }, "ValidationError", `Value 'a/b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		"name ends in newline":    {func(i *in) { i.RoleSessionName = aws.String("ab\n") }, "ValidationError", "regular expression pattern"},
		"name too short":          {func(i *in) { i.RoleSessionName = aws.String("a") }, "ValidationError", "length greater than or equal to 2"},
		"name too long":           {func(i *in) { i.RoleSessionName = aws.String(strings.Repeat("a", 65)) }, "ValidationError", "length less than or equal to 64"},
		"899 seconds":             {func(i *in) { i.DurationSeconds = aws.Int32(899) }, "ValidationError", "Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		"900 seconds":             {func(i *in) { i.DurationSeconds = aws.Int32(900) }, "", ""},
		"43201 seconds":           {func(i *in) { i.DurationSeconds = aws.Int32(43201) }, "ValidationError", "less than or equal to 43200"},
		"above the role's":        {func(i *in) { i.DurationSeconds = aws.Int32(7201) }, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		"the role's own":          {func(i *in) { i.DurationSeconds = aws.Int32(7200) }, "", ""},
		"two problems":            {func(i *in) { i.RoleSessionName, i.DurationSeconds = aws.String("a/"), aws.Int32(1) }, "ValidationError", "2 validation errors detected: "},
		"external id":             {func(i *in) { i.ExternalId = aws.String("a b") }, "ValidationError", "externalId"},
		"source identity":         {func(i *in) { i.SourceIdentity = aws.String("a:b") }, "ValidationError", "sourceIdentity"},
		"user ARN":                {func(i *in) { i.RoleArn = aws.String(DefaultUser) }, "ValidationError", "Request ARN is invalid"},
		"tag key with a star":     {func(i *in) { i.Tags = tags("a*", "b") }, "ValidationError", "tags.1.member.key"},
		"tag key too long":        {func(i *in) { i.Tags = tags(strings.Repeat("ä", 129), "b") }, "ValidationError", "less than or equal to 128"},
		"tag value too long":      {func(i *in) { i.Tags = tags("a", strings.Repeat("ä", 257)) }, "ValidationError", "less than or equal to 256"},
		"tag in any script":       {func(i *in) { i.Tags = tags("größe", "日本 / +=-@_.:") }, "", ""},
		"tag keys but for case":   {func(i *in) { i.Tags = tags("Team", "a", "team", "b") }, "InvalidParameterValue", "Tag keys are case insensitive"},
		"aws: tag":                {func(i *in) { i.Tags = tags("aws:x", "b") }, "InvalidParameterValue", "aws:"},
		"51 tags":                 {func(i *in) { i.Tags = tags(many...) }, "ValidationError", "less than or equal to 50"},
		"transitive not a tag":    {func(i *in) { i.TransitiveTagKeys = []string{"x"} }, "InvalidParameterValue", "transitive"},
		"policy no JSON":          {func(i *in) { i.Policy = aws.String("{") }, "MalformedPolicyDocument", "Syntax errors in policy."},
		"policy too long":         {func(i *in) { i.Policy = aws.String(strings.Repeat(" ", 2049)) }, "ValidationError", "less than or equal to 2048"},
		"policy ARN of no policy": {func(i *in) { i.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String(deployRole)}} }, "ValidationError", "not valid"},
		"11 policy ARNs": {func(i *in) {
			for range 11 {
				i.PolicyArns = append(i.PolicyArns, types.PolicyDescriptorType{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")})
			}
		}, "ValidationError", "policyArns"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.AssumeRole(t.Context(), request(c.change))
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantCode(t, err, c.code, c.text)
		})
	}
}

func TestTrustPoliciesDecideWhoAssumesARole(t *testing.T) {
	const user, resource = "User: " + DefaultUser + " is not authorized to perform: ", " on resource: " + deployRole
	type in = sts.AssumeRoleInput
	for name, c := range map[string]struct {
		role   func(*Role)
		change func(*in)
		text   string // "" is allowed
	}{
		"trusted":                     {},
		"trusts nobody":               {func(r *Role) { r.TrustedPrincipals = nil }, nil, user + "sts:AssumeRole" + resource},
		"trusts another":              {func(r *Role) { r.TrustedPrincipals = []string{DefaultUser + "x"} }, nil, "sts:AssumeRole"},
		"trusts the account":          {func(r *Role) { r.TrustedPrincipals = []string{TrustsRoot(DefaultAccount)} }, nil, ""},
		"trusts another account":      {func(r *Role) { r.TrustedPrincipals = []string{TrustsRoot("444455556666")} }, nil, "sts:AssumeRole"},
		"external id missing":         {func(r *Role) { r.RequireExternalID = "ext-1" }, nil, "sts:AssumeRole"},
		"external id wrong":           {func(r *Role) { r.RequireExternalID = "ext-1" }, func(i *in) { i.ExternalId = aws.String("ext-2") }, "sts:AssumeRole"},
		"external id right":           {func(r *Role) { r.RequireExternalID = "ext-1" }, func(i *in) { i.ExternalId = aws.String("ext-1") }, ""},
		"tags not allowed":            {func(r *Role) { r.AllowTagSession = false }, func(i *in) { i.Tags = tags("a", "b") }, user + "sts:TagSession" + resource},
		"source identity not allowed": {func(r *Role) { r.AllowSetSourceIdentity = false }, func(i *in) { i.SourceIdentity = aws.String("gl-1") }, user + "sts:SetSourceIdentity" + resource},
		"role that does not exist":    {nil, func(i *in) { i.RoleArn = aws.String(deployRole + "x") }, user + "sts:AssumeRole" + resource + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			r := deploy()
			if c.role != nil {
				c.role(&r)
			}
			s := start(t, Options{Roles: []Role{r}})
			_, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(c.change))
			if c.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantCode(t, err, "AccessDenied", c.text)
		})
	}
}

func TestAcrossAccountsBothSidesMustAllow(t *testing.T) {
	foreign := deploy()
	foreign.ARN = foreignRole
	change := func(i *sts.AssumeRoleInput) { i.RoleArn = aws.String(foreignRole) }
	s := start(t, Options{Roles: []Role{foreign}, Users: []User{{ARN: DefaultUser}}})
	_, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(change))
	wantCode(t, err, "AccessDenied", "sts:AssumeRole")
	s = start(t, Options{Roles: []Role{foreign}})
	if _, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(change)); err != nil {
		t.Fatal(err)
	}
}

func TestChainingKeepsWhatIsTransitiveAndIsShort(t *testing.T) {
	hop := Role{ARN: otherRole, TrustedPrincipals: []string{deployRole}, AllowTagSession: true, AllowSetSourceIdentity: true, MaxSessionDuration: 4 * time.Hour}
	s := start(t, Options{Roles: []Role{deploy(), hop}})
	out, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(func(i *sts.AssumeRoleInput) {
		i.Tags, i.TransitiveTagKeys, i.SourceIdentity = tags("Team", "shop", "plain", "x"), []string{"team"}, aws.String("gl-1")
	}))
	if err != nil {
		t.Fatal(err)
	}
	first := stsAs(s, aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken})
	next := func(change func(*sts.AssumeRoleInput)) error {
		in := request(change)
		in.RoleArn = aws.String(otherRole)
		_, err := first.AssumeRole(t.Context(), in)
		return err
	}
	wantCode(t, next(func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(3601) }), "ValidationError", "1 hour session limit for roles assumed by role chaining")
	wantCode(t, next(func(i *sts.AssumeRoleInput) { i.Tags = tags("TEAM", "evil") }), "InvalidParameterValue", "conflicts with a transitive tag key from the calling session")
	wantCode(t, next(func(i *sts.AssumeRoleInput) { i.SourceIdentity = aws.String("other") }), "AccessDenied", "already set")
	if err := next(func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(3600) }); err != nil {
		t.Fatal(err)
	}
	last := s.Sessions()[1]
	if last.SourceIdentity != "gl-1" || len(last.Tags) != 1 || last.Tags["Team"] != "shop" {
		t.Errorf("%+v", last)
	}
	if err := s.UpdateRole(otherRole, func(r *Role) { r.AllowTagSession = false }); err != nil {
		t.Fatal(err)
	}
	wantCode(t, next(nil), "AccessDenied", "sts:TagSession")
}

func TestPackedSizeIsSaidAndLimited(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	client := stsAs(s, runner(t, s))
	out, err := client.AssumeRole(t.Context(), request(nil))
	//nolint:staticcheck // deprecated, but what older regions and partitions answer
	if err != nil || out.PackedPolicySize != nil {
		t.Fatalf("nothing to pack: %v, %v", out, err)
	}
	out, err = client.AssumeRole(t.Context(), request(func(i *sts.AssumeRoleInput) { i.Tags = tags("project", "acme/shop") }))
	//nolint:staticcheck // as above
	if err != nil || out.PackedPolicySize == nil || *out.PackedPolicySize < 1 || *out.PackedPolicySize > 10 {
		t.Fatalf("a small tag: %v, %v", out, err)
	}
	var pairs []string
	for i := range 10 {
		value := make([]byte, 250)
		for j := range value {
			value[j] = byte('a' + rand.IntN(26)) // incompressible enough
		}
		pairs = append(pairs, "key"+strconv.Itoa(i), string(value))
	}
	_, err = client.AssumeRole(t.Context(), request(func(i *sts.AssumeRoleInput) { i.Tags = tags(pairs...) }))
	wantCode(t, err, "PackedPolicyTooLarge", "Packed size of session tags consumes ")
}

func TestTheSizeOfTheTokenIsSaid(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}, TokenSize: 4096})
	out, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(nil))
	if err != nil || len(*out.Credentials.SessionToken) != 4096 || *out.SessionTokenSize != 4096 || *out.SessionTokenUtilization != 100 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestASessionPolicyNarrows(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	for policy, want := range map[string]string{
		`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`:  "",
		`{"Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}`: "AccessDenied",
	} {
		out, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(func(i *sts.AssumeRoleInput) { i.Policy = &policy }))
		if err != nil {
			t.Fatal(err)
		}
		wantProbe(t, s, aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}, want)
	}
}
