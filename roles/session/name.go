package session

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
)

// A session's name is "gl-", the job id, "-" and 13 characters of lower-case
// base32: 65 random bits. The id joins CloudTrail to a job; the random part
// makes the name unguessable, so that nobody can take a session under a name
// that a deny policy names, nor prepare one for a job to come. At most 36
// characters; AWS allows 64.
const (
	namePrefix   = "gl-"
	nameRandom   = 13
	nameAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

// NewName makes the role session name for a job. It fails for an id that is not
// positive and where the system has no randomness.
func NewName(jobID int64) (string, error) {
	if jobID <= 0 {
		return "", fmt.Errorf("session name: job id %d is not positive", jobID)
	}
	var b [nameRandom]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("session name: %w", err)
	}
	for i := range b {
		b[i] = nameAlphabet[b[i]%byte(len(nameAlphabet))] // 256 is a multiple of 32: no bias
	}
	return namePrefix + strconv.FormatInt(jobID, 10) + "-" + string(b[:]), nil
}

// ValidName says whether name has exactly the format of NewName. Whatever goes
// into a deny policy passes through it first: it admits no wildcard, no quote
// and no bare job id.
func ValidName(name string) bool {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return false
	}
	id, random, ok := strings.Cut(rest, "-")
	if !ok || len(random) != nameRandom {
		return false
	}
	for i := range len(random) {
		if !strings.Contains(nameAlphabet, random[i:i+1]) {
			return false
		}
	}
	n, err := strconv.ParseInt(id, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == id
}
