package fakeaws

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
)

const (
	base32Upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	secretChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+"
)

func pick(alphabet string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		// Both alphabets have a power of two of characters: no bias.
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func upperBase32(n int) string { return pick(base32Upper, n) }

// secretKey has the form of AWS's: 40 characters, one of which is always a
// slash or a plus, the ones that encoders treat differently.
func secretKey() string {
	for {
		if s := pick(secretChars, 40); strings.ContainsAny(s, "/+") {
			return s
		}
	}
}

// tokenStart is how every session token of AWS begins, so that a filter that
// would look at the first characters only finds nothing to tell them apart.
const tokenStart = "!\n\torigin_ec"

// maxToken is the longest session token, in characters: the limit of STS since
// it returns SessionTokenUtilization.
const maxToken = 4096

// sessionToken is the standard base64 of 400 to 900 bytes, or of as many as
// give at least the wanted characters, and always holds all of "/", "+" and "=".
func sessionToken(least int) string {
	for {
		n, _ := rand.Int(rand.Reader, big.NewInt(501)) // never fails
		size := 400 + int(n.Int64())
		// Two bytes over a multiple of three end in one "=".
		size = max(size, (least+3)/4*3-1)
		raw := make([]byte, size)
		_, _ = rand.Read(raw) // never fails
		copy(raw, tokenStart)
		s := base64.StdEncoding.EncodeToString(raw)
		if strings.Contains(s, "/") && strings.Contains(s, "+") && strings.Contains(s, "=") {
			return s
		}
	}
}

func requestID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
