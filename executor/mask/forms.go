package mask

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// This file promises the list of what counts as an occurrence of a secret.

// A symbol is one character of a form: the ways it may be written in a log.
type symbol []string

// A form is one encoding of a secret, character by character. An occurrence is
// a spelling of each symbol in turn; line breaks may stand between any two
// bytes of it, at most maxGap bytes (\r or \n) in a row.
type form []symbol

// maxGap allows an empty line (two times \r\n) inside an occurrence. It is
// bounded because a beginning of a secret is held back with the line breaks
// after it.
const maxGap = 4

var (
	errShort = fmt.Errorf("shorter than %d bytes, too short to be masked", MinSecret)
	errLong  = fmt.Errorf("longer than %d bytes, no credential is that long", MaxSecret)
	errBreak = errors.New("contains a line break, which the filter skips over: add its lines one by one")
)

func check(secret string) error {
	if len(secret) < MinSecret {
		return errShort
	}
	if len(secret) > MaxSecret {
		return errLong
	}
	if strings.ContainsAny(secret, "\r\n") {
		return errBreak
	}
	return nil
}

// formsOf lists the forms in which a secret is looked for, each with its tail. A
// form is only good until the next: all of a long secret would take a megabyte.
func formsOf(secret string) iter.Seq2[form, tail] {
	return func(yield func(form, tail) bool) {
		plain, coded := &speller{}, &speller{urlAlphabet: true}
		for _, encode := range []func() string{
			func() string { return secret },
			func() string { return hex.EncodeToString([]byte(secret)) },
			func() string { return strings.ToUpper(hex.EncodeToString([]byte(secret))) },
		} {
			if !yield(plain.form(encode()), tail{}) {
				return
			}
		}
		for align := range 3 {
			if !yield(coded.form(base64Core(secret, align)), base64Tail(secret, align)) {
				return
			}
		}
	}
}

// symbolsOf is about how many symbols the forms of a secret have: one, two times
// two and three times four thirds for each byte.
func symbolsOf(secret string) int { return (1 + 2*2 + 3*4/3) * len(secret) }

// A tail is what may follow a form and goes with it: the character of a base64
// text that holds the last bits of the secret beside a neighbour's, and the
// padding if the text ends there. No line break stands before or inside it, so
// that nothing is held back for it at the end of a line.
type tail struct {
	chars string // that begin with the secret's last bits
	pads  int    // number of = that follow the first of them, if the text ends
}

const base64Alphabet64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func base64Tail(secret string, align int) tail {
	bits := 8 * (align + len(secret))
	rest := bits % 6
	if rest == 0 {
		return tail{}
	}
	text := base64.RawStdEncoding.EncodeToString(append(make([]byte, align), secret...))
	first := strings.IndexByte(base64Alphabet64, text[bits/6]) // the neighbour's bits are 0
	return tail{chars: base64Alphabet64[first : first+1<<(6-rest)], pads: (6 - rest) / 2}
}

// base64Core is what the secret always looks like inside a longer base64 text
// that it enters at a byte whose index is align modulo 3: those characters that
// depend on the secret alone.
func base64Core(secret string, align int) string {
	text := base64.RawStdEncoding.EncodeToString(append(make([]byte, align), secret...))
	return text[(8*align+5)/6 : 8*(align+len(secret))/6]
}

// speller makes forms of texts, one after the other in the same memory. It asks
// for the spellings of a byte only once.
type speller struct {
	urlAlphabet bool // + and / may also be - and _ (RFC 4648, section 5)
	symbols     [256]symbol
	last        form
}

func (sp *speller) form(text string) form {
	f := slices.Grow(sp.last[:0], len(text))[:len(text)]
	sp.last = f
	for i := range len(text) {
		b := text[i]
		if sp.symbols[b] == nil {
			s := spellings(b)
			switch {
			case sp.urlAlphabet && b == '+':
				s = append(s, "-")
			case sp.urlAlphabet && b == '/':
				s = append(s, "_")
			}
			sp.symbols[b] = s
		}
		f[i] = sp.symbols[b]
	}
	return f
}

// spellings lists how a byte is written by URL and JSON encoders: as it is, as
// %XX, as \u00XX (both with hex digits of either case), as a short JSON escape.
// ASCII letters and digits are left alone by all of them. Bytes above ASCII
// have no \u spelling, for JSON escapes characters and not bytes.
func spellings(b byte) symbol {
	s := symbol{string([]byte{b})}
	if '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' {
		return s
	}
	formats := []string{"%%%02X", "%%%02x"}
	if b < 0x80 {
		formats = append(formats, `\u%04X`, `\u%04x`)
	}
	for _, format := range formats {
		if t := fmt.Sprintf(format, b); t != s[len(s)-1] {
			s = append(s, t)
		}
	}
	switch b {
	case '/', '"', '\\':
		s = append(s, `\`+string(rune(b)))
	case '\t':
		s = append(s, `\t`)
	case '\b':
		s = append(s, `\b`)
	case '\f':
		s = append(s, `\f`)
	case ' ':
		s = append(s, "+") // the query form of URL-escaping
	}
	return s
}
