package lease

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
)

// idBytes gives ids of 128 random bits: nobody guesses another job's.
const idBytes = 16

// idLength is the length of 16 bytes in unpadded base32.
const idLength = 26

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

func randomText(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make random id: %w", err)
	}
	return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding).EncodeToString(b), nil
}

// NewID makes a random lease id, safe as a file name: 26 characters of a-z2-7.
func NewID() (string, error) { return randomText(idBytes) }

// ValidID says whether s has the exact form of NewID's. Ids reach the stages by
// their environment: nothing else may become part of a path.
func ValidID(s string) bool { return isBase32(s, idLength) }

func isBase32(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
