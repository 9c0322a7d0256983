package fakeaws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm     = "AWS4-HMAC-SHA256"
	amzTime       = "20060102T150405Z"
	unsigned      = "UNSIGNED-PAYLOAD"
	headerPayload = "X-Amz-Content-Sha256"
	headerToken   = "X-Amz-Security-Token"
)

// authorization is the parsed Authorization header.
type authorization struct {
	accessKeyID           string
	date, region, service string
	signedHeaders         []string
	signature             []byte
}

func parseAuthorization(h string) (*authorization, *apiError) {
	rest, ok := strings.CutPrefix(h, algorithm)
	if !ok {
		return nil, incomplete("Unsupported AWS 'algorithm'")
	}
	fields := map[string]string{}
	for _, f := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' }) {
		k, v, found := strings.Cut(f, "=")
		if _, twice := fields[k]; !found || twice {
			return nil, incomplete("Authorization header has a malformed or repeated part")
		}
		fields[k] = v
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return nil, incomplete("Credential must have five parts and end in aws4_request")
	}
	sig, err := hex.DecodeString(fields["Signature"])
	if err != nil || len(sig) != sha256.Size || fields["SignedHeaders"] == "" {
		return nil, incomplete("Authorization header requires 'Signature' and 'SignedHeaders' parameters")
	}
	return &authorization{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"), signature: sig,
	}, nil
}

func incomplete(message string) *apiError {
	return fail(http.StatusBadRequest, "IncompleteSignature", message)
}

// coversNeeded says whether the signature covers the host and every X-Amz-*
// header that is there: one left out could be changed on the way.
func (a *authorization) coversNeeded(h http.Header) bool {
	signed := map[string]bool{}
	for _, name := range a.signedHeaders {
		signed[name] = true
	}
	if !signed["host"] || !sort.StringsAreSorted(a.signedHeaders) {
		return false
	}
	for name := range h {
		n := strings.ToLower(name)
		if strings.HasPrefix(n, "x-amz-") && n != "x-amz-user-agent" && !signed[n] {
			return false
		}
	}
	return true
}

// signatureFor computes the signature that secret gives this request.
func (a *authorization) signatureFor(secret string, r *http.Request, stamp, payloadHash string) []byte {
	canonical := strings.Join([]string{
		r.Method, canonicalPath(r, a.service), canonicalQuery(r.URL.RawQuery),
		canonicalHeaders(r, a.signedHeaders), strings.Join(a.signedHeaders, ";"), payloadHash,
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{a.date, a.region, a.service, "aws4_request"}, "/")
	toSign := strings.Join([]string{algorithm, stamp, scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request"} {
		key = mac(key, part)
	}
	return mac(key, toSign)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum(nil)
}

// canonicalPath: S3 signs the path as sent, all others encode it once more.
func canonicalPath(r *http.Request, service string) string {
	p := r.URL.EscapedPath()
	if p == "" {
		p = "/"
	}
	if service == "s3" {
		return p
	}
	return strings.ReplaceAll(uriEncode(p), "%2F", "/")
}

func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	type pair struct{ k, v string }
	var pairs []pair
	for _, part := range strings.Split(raw, "&") {
		k, v, _ := strings.Cut(part, "=")
		key, errK := url.QueryUnescape(k)
		value, errV := url.QueryUnescape(v)
		if errK != nil || errV != nil {
			key, value = k, v
		}
		pairs = append(pairs, pair{uriEncode(key), uriEncode(value)})
	}
	sort.Slice(pairs, func(i, j int) bool {
		if pairs[i].k != pairs[j].k {
			return pairs[i].k < pairs[j].k
		}
		return pairs[i].v < pairs[j].v
	})
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p.k + "=" + p.v
	}
	return strings.Join(out, "&")
}

func canonicalHeaders(r *http.Request, names []string) string {
	var b strings.Builder
	for _, n := range names {
		var values []string
		switch n {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		default:
			values = r.Header.Values(n)
		}
		b.WriteString(n + ":")
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.Join(strings.Fields(v), " "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// uriEncode is AWS's percent encoding: all but the unreserved characters.
func uriEncode(s string) string {
	const upperHex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String()
}

// skewMessage says in AWS's words that the time of signing is too far from the
// server's, or nothing if it is near enough.
func skewMessage(signed, now time.Time, limit time.Duration) string {
	minutes := strconv.Itoa(int(limit / time.Minute))
	f := func(t time.Time) string { return t.UTC().Format(amzTime) }
	switch {
	case signed.Before(now.Add(-limit)):
		return "Signature expired: " + f(signed) + " is now earlier than " + f(now.Add(-limit)) +
			" (" + f(now) + " - " + minutes + " min.)"
	case signed.After(now.Add(limit)):
		return "Signature not yet current: " + f(signed) + " is still later than " + f(now.Add(limit)) +
			" (" + f(now) + " + " + minutes + " min.)"
	}
	return ""
}
