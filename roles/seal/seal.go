package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// KeySize is the length of a job key in bytes (AES-256).
const KeySize = 32

// version is the first byte of every sealed blob. A change of the format adds a
// version; Open keeps reading the older ones, so that an upgrade between two
// stages of one job loses nothing.
const version = 1

var (
	// ErrOpen means that a blob was not sealed with this key for this lease, or was changed.
	ErrOpen = errors.New("sealed state does not open with this job's key")
	// ErrVersion means that a blob was written by a newer EnvRole.
	ErrVersion = errors.New("sealed state has an unknown format version")

	errNoKey = errors.New("there is no job key")
)

// Key is a job's own random key. It lives in the runner's memory (job_env) and
// in the environment of the stages, never in a file. The zero Key is no key: it
// neither seals nor opens.
type Key struct{ raw Secret } // KeySize bytes

// NewKey makes a random key.
func NewKey() (Key, error) {
	b := make([]byte, KeySize)
	if _, err := rand.Read(b); err != nil {
		return Key{}, fmt.Errorf("make job key: %w", err)
	}
	return Key{raw: NewSecret(string(b))}, nil
}

// ParseKey reads what Encode wrote. Its error never repeats the input.
func ParseKey(s string) (Key, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != KeySize {
		return Key{}, fmt.Errorf("job key: want %d bytes in unpadded URL-safe base64", KeySize)
	}
	return Key{raw: NewSecret(string(b))}, nil
}

// Encode gives the key as text, for job_env only; "" for the zero Key.
func (k Key) Encode() string { return base64.RawURLEncoding.EncodeToString([]byte(k.raw.Reveal())) }

// Format prints [redacted], whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// Seal encrypts plain with AES-256-GCM under a random nonce. context (the lease
// and job id) is authenticated with it: a blob of one lease does not open as
// another's.
func (k Key) Seal(plain []byte, context string) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	//nolint:gosec // the version is where the blob begins; the nonce is random
	return aead.Seal([]byte{version}, nil, plain, additional(context)), nil
}

// Open reverses Seal. It fails with ErrOpen for a wrong key, another context or
// a changed blob, and with ErrVersion for a blob of a newer format.
func (k Key) Open(blob []byte, context string) ([]byte, error) {
	if len(blob) == 0 {
		return nil, ErrOpen
	}
	if blob[0] != version {
		return nil, fmt.Errorf("%w %d", ErrVersion, blob[0])
	}
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, blob[1:], additional(context))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func (k Key) aead() (cipher.AEAD, error) {
	if k.raw.Empty() {
		return nil, errNoKey
	}
	block, err := aes.NewCipher([]byte(k.raw.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("job key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func additional(context string) []byte { return append([]byte{version, 0}, context...) }
