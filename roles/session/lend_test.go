package session

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"envrole/roles"
	"envrole/roles/fault"
)

func TestLendAsksForAllThatTheRuleSaysInOneCall(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	s, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) {
		g.Duration = 30 * time.Minute
		g.Region = "eu-west-1"
		g.ExternalID = externalID
		g.SourceIdentity = "session"
		g.Policy = `{"Version":"2012-10-17"}`
		g.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/Other"}
		g.Tags = map[string]string{"team": "shop", "cost": "42"}
		g.TransitiveTags = []string{"team"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	calls := srv.seen()
	if len(calls) != 1 {
		t.Fatalf("%d calls, want 1", len(calls))
	}
	for key, want := range map[string]string{
		"Action": "AssumeRole", "RoleArn": roleARN, "RoleSessionName": jobName, "DurationSeconds": "1800",
		"ExternalId": externalID, "SourceIdentity": jobName, "Policy": `{"Version":"2012-10-17"}`,
		"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/ReadOnlyAccess", "PolicyArns.member.2.arn": "arn:aws:iam::aws:policy/Other",
		"TransitiveTagKeys.member.1": "team",
	} {
		if got := calls[0].get(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if auth := calls[0].header.Get("Authorization"); !strings.Contains(auth, baseKey+"/") || !strings.Contains(auth, "/eu-west-1/sts/") {
		t.Errorf("signed as %q, want the runner's key and the rule's region", auth)
	}
	keys, values := calls[0].tags()
	if want := []string{
		TagEnvironment, TagProject, TagRef, TagRefType, TagRefProtected, TagTier, TagUser, TagProjectID, TagPipelineID, TagJobID,
		"cost", "team",
	}; !slices.Equal(keys, want) {
		t.Errorf("tags %v, want %v", keys, want)
	}
	if values[TagEnvironment] != "production/eu" || values["team"] != "shop" || values[TagJobID] != "4711" {
		t.Errorf("tag values %v", values)
	}
	if s.AccessKeyID != lentKey || s.SecretAccessKey.Reveal() != lentSecret || s.SessionToken.Reveal() != lentToken {
		t.Error("the credentials are not those of the answer")
	}
	if s.RoleARN != roleARN || s.AssumedRoleARN != "arn:aws:sts::111122223333:assumed-role/deploy-shop/"+jobName ||
		s.AssumedRoleID != "AROA1234567890EXAMPLE:"+jobName || s.Name != jobName || s.Region != "eu-west-1" ||
		s.PackedPolicySize != 42 || s.Duration != 30*time.Minute || s.SourceIdentity != jobName ||
		s.RequestID != "c6104cbe-af31-11e0-8154-cbc7ccf896c7" || len(s.Warnings) != 0 || len(s.DroppedTags) != 0 {
		t.Errorf("session %+v", s)
	}
	if s.ServerTime.IsZero() || s.Expiration.Before(time.Now()) || s.Expiration.Location() != time.UTC {
		t.Errorf("server time %v, expiration %v", s.ServerTime, s.Expiration)
	}
}

func TestLendSendsNothingThatTheRuleDoesNotSay(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	s, err := srv.base(t).Lend(t.Context(), Request{Grant: roles.Grant{RoleARN: roleARN}, Name: jobName})
	if err != nil {
		t.Fatal(err)
	}
	for key := range srv.seen()[0].form {
		if !slices.Contains([]string{"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"}, key) {
			t.Errorf("%s is sent", key)
		}
	}
	if s.Region != "eu-central-1" || s.Duration != time.Hour {
		t.Errorf("region %s, duration %s: want the defaults", s.Region, s.Duration)
	}
}

func TestDurationIsClampedToWhatAWSAllows(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rule, want time.Duration
		token      string
		chain      []string
		warned     bool
	}{
		{name: "no duration is an hour", want: time.Hour},
		{name: "too short", rule: time.Minute, want: 15 * time.Minute, warned: true},
		{name: "as asked", rule: 2 * time.Hour, want: 2 * time.Hour},
		{name: "part of a second", rule: 20*time.Minute + time.Millisecond, want: 20 * time.Minute},
		{name: "too long", rule: 48 * time.Hour, want: 12 * time.Hour, warned: true},
		{name: "chain", rule: 2 * time.Hour, chain: []string{hubARN}, want: time.Hour, warned: true},
		{name: "short chain", rule: 20 * time.Minute, chain: []string{hubARN}, want: 20 * time.Minute},
		{name: "the runner is a role session", rule: 2 * time.Hour, token: baseToken, want: time.Hour, warned: true},
		{name: "an hour from a role session", rule: time.Hour, token: baseToken, want: time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			t.Setenv("AWS_SESSION_TOKEN", tt.token)
			srv := newSTS(t, lends)
			b := srv.base(t)
			r := request(t, func(g *roles.Grant) { g.Duration, g.Chain = tt.rule, tt.chain })
			s, err := b.Lend(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			calls := srv.seen()
			if got := calls[len(calls)-1].get("DurationSeconds"); got != strconv.Itoa(int(tt.want.Seconds())) || s.Duration != tt.want {
				t.Errorf("asked for %s s, session says %s; want %s", got, s.Duration, tt.want)
			}
			if (len(s.Warnings) > 0) != tt.warned {
				t.Errorf("warnings %q", s.Warnings)
			}
			if now := time.Now(); b.LatestExpiry(r, now).Before(now.Add(tt.want)) {
				t.Error("the recorded bound is earlier than the session's end")
			}
		})
	}
}

func TestAChainPassesEachSettingOnTheRightHop(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	hop := 0
	srv := newSTS(t, lendsWith(func(body string) string {
		hop++
		return strings.Replace(body, lentKey, fmt.Sprintf("ASIAHOP%d", hop), 1)
	}))
	s, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) {
		g.Chain = []string{hubARN, "arn:aws:iam::777777777777:role/second"}
		g.ExternalID = externalID
		g.SourceIdentity = "session"
		g.Policy = `{}`
		g.Tags = map[string]string{"team": "shop"}
		g.TransitiveTags = []string{"team"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	calls := srv.seen()
	if len(calls) != 3 {
		t.Fatalf("%d calls, want 3", len(calls))
	}
	for i, want := range []struct {
		role, key, duration, source, external, policy, transitive string
		tags                                                      int
	}{
		{hubARN, baseKey, "900", jobName, "", "", "", 0},
		{"arn:aws:iam::777777777777:role/second", "ASIAHOP1", "900", "", "", "", "", 0},
		{roleARN, "ASIAHOP2", "3600", "", externalID, "{}", "team", 11},
	} {
		c := calls[i]
		keys, _ := c.tags()
		if c.get("RoleArn") != want.role || c.key() != want.key || c.get("DurationSeconds") != want.duration ||
			c.get("SourceIdentity") != want.source || c.get("ExternalId") != want.external || c.get("Policy") != want.policy ||
			c.get("TransitiveTagKeys.member.1") != want.transitive || len(keys) != want.tags {
			t.Errorf("hop %d: %v signed by %s, want %+v", i+1, c.form, c.key(), want)
		}
		if c.get("RoleSessionName") != jobName {
			t.Errorf("hop %d has the name %q", i+1, c.get("RoleSessionName"))
		}
	}
	if s.AccessKeyID != "ASIAHOP3" {
		t.Errorf("the session lent is %s, want the last hop's", s.AccessKeyID)
	}
}

func TestASecretCapOfOneHourIsObeyedOnce(t *testing.T) {
	chaining := fails(400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	for _, tt := range []struct {
		name    string
		rule    time.Duration
		answers []http.HandlerFunc
		calls   int
		ok      bool
	}{
		{"then lent", 2 * time.Hour, []http.HandlerFunc{chaining, lends}, 2, true},
		{"said again", 2 * time.Hour, []http.HandlerFunc{chaining}, 2, false},
		{"said of an hour", time.Hour, []http.HandlerFunc{chaining}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, tt.answers...)
			s, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.Duration = tt.rule }))
			if len(srv.seen()) != tt.calls || (err == nil) != tt.ok {
				t.Fatalf("%d calls, error %v", len(srv.seen()), err)
			}
			if err != nil {
				if fault.ClassOf(err) != fault.Permanent {
					t.Errorf("class %s", fault.ClassOf(err))
				}
				return
			}
			if s.Duration != time.Hour || len(s.Warnings) != 1 {
				t.Errorf("duration %s, warnings %q", s.Duration, s.Warnings)
			}
		})
	}
}

func TestANameThatRevocationCouldNotUseNeverReachesSTS(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	b := srv.base(t)
	for _, name := range []string{"", "*", "gl-4711", "gl-4711-*", "gl-*-abcdefghij234", "job-4711"} {
		r := request(t, nil)
		r.Name = name
		if _, err := b.Lend(t.Context(), r); err == nil {
			t.Errorf("lent under the name %q", name)
		}
	}
	if n := len(srv.seen()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestAnAnswerThatCouldNotBeRevokedIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, old, new string }{
		{"another session name", ":" + jobName + "</AssumedRoleId>", ":gl-1-aaaaaaaaaaaaa</AssumedRoleId>"},
		{"no role id", "AROA1234567890EXAMPLE:", ""},
		{"no assumed role", "AssumedRoleUser>", "Nobody>"},
		{"no credentials", "Credentials>", "Nothing>"},
		{"no key id", "<AccessKeyId>" + lentKey + "</AccessKeyId>", ""},
		{"no secret", "<SecretAccessKey>" + lentSecret + "</SecretAccessKey>", ""},
		{"empty secret", "<SecretAccessKey>" + lentSecret, "<SecretAccessKey>"},
		{"no token", "<SessionToken>" + lentToken + "</SessionToken>", ""},
		{"no expiration", "Expiration>", "Forever>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, lendsWith(func(body string) string { return strings.ReplaceAll(body, tt.old, tt.new) }))
			s, err := srv.base(t).Lend(t.Context(), request(t, nil))
			if err == nil || s.AccessKeyID != "" || !s.SecretAccessKey.Empty() {
				t.Fatalf("lent %+v", s)
			}
			if fault.ClassOf(err) != fault.Passing {
				t.Errorf("class %s", fault.ClassOf(err))
			}
			assertNoSecret(t, err)
		})
	}
}

func TestFullnessIsWarnedOfAbove80Percent(t *testing.T) {
	for size, want := range map[string]int{"80": 0, "81": 1, "100": 1} {
		cleanEnv(t)
		userKeys(t)
		srv := newSTS(t, lendsWith(func(body string) string { return strings.Replace(body, ">42<", ">"+size+"<", 1) }))
		s, err := srv.base(t).Lend(t.Context(), request(t, nil))
		if err != nil || len(s.Warnings) != want {
			t.Errorf("%s %%: warnings %q, error %v", size, s.Warnings, err)
		}
	}
}

func TestARoleOfOurOwnGivesAConfigurationThatActsAsIt(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	cfg, err := srv.base(t).As(t.Context(), roleARN, externalID, "envrole-revoker")
	if err != nil {
		t.Fatal(err)
	}
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || creds.AccessKeyID != lentKey || creds.SecretAccessKey != lentSecret || creds.SessionToken != lentToken {
		t.Errorf("key %s, error %v", creds.AccessKeyID, err)
	}
	if c := srv.seen()[0]; c.get("DurationSeconds") != "900" || c.get("ExternalId") != externalID {
		t.Errorf("call %v", c.form)
	}
}

func TestANameThatAWSDoesNotTakeNeverReachesSTS(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	b := srv.base(t)
	for _, name := range []string{"", "x", "a b", "a/b", "a*", "a\n", strings.Repeat("x", 65)} {
		if _, err := b.As(t.Context(), roleARN, "", name); err == nil {
			t.Errorf("assumed under the name %q", name)
		}
	}
	if n := len(srv.seen()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestTheServersClockIsKept(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	clock := time.Now().Add(-3 * time.Hour).UTC().Truncate(time.Second)
	srv := newSTS(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", clock.Format(http.TimeFormat))
		lends(w, r)
	})
	s, err := srv.base(t).Lend(t.Context(), request(t, nil))
	if err != nil || !s.ServerTime.Equal(clock) {
		t.Errorf("server time %s, want %s; error %v", s.ServerTime, clock, err)
	}
}

// A clock that is wrong by hours must not cost the job its role: the SDK learns
// AWS's time from the refusal and signs again.
func TestAWrongClockIsCorrectedFromAWSsAnswer(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	clock := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(3*time.Hour).UTC().Format(http.TimeFormat))
			h(w, r)
		}
	}
	srv := newSTS(t, clock(fails(403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2")), clock(lends))
	if _, err := srv.base(t).Lend(t.Context(), request(t, nil)); err != nil {
		t.Fatal(err)
	}
	calls := srv.seen()
	if first, second := calls[0].header.Get("X-Amz-Date"), calls[1].header.Get("X-Amz-Date"); second[:11] == first[:11] {
		t.Errorf("signed at %s, then at %s", first, second)
	}
}

func TestTheRecordedBoundIsNeverBeforeTheAskedEnd(t *testing.T) {
	b := &Base{}
	rapid.Check(t, func(t *rapid.T) {
		g := roles.Grant{RoleARN: roleARN, Duration: time.Duration(rapid.Int64Range(-1, int64(100*time.Hour)).Draw(t, "duration"))}
		if rapid.Bool().Draw(t, "chained") {
			g.Chain = []string{hubARN}
		}
		r := Request{Grant: g, Name: jobName}
		hops, err := b.hops(r)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		end := now.Add(lendLimit + hops[len(hops)-1].duration)
		if bound := b.LatestExpiry(r, now); bound.Before(end) || bound.After(now.Add(maxDuration+expiryMargin)) {
			t.Fatalf("bound %s, asked end %s", bound, end)
		}
	})
}
