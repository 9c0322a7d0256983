package settings

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// The lexical half of the scanner: white space, names and strings.

// at says whether the text goes on with token.
func (s *scanner) at(token string) bool { return strings.HasPrefix(s.text[s.pos:], token) }

// skip passes over spaces and token, and says whether token was there.
func (s *scanner) skip(token string) bool {
	s.space()
	if !s.at(token) {
		return false
	}
	s.pos += len(token)
	return true
}

// space passes over spaces and tabs.
func (s *scanner) space() {
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
	}
}

// blank passes over spaces, line ends and comments.
func (s *scanner) blank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '\n':
			s.line++
			s.pos++
		case ' ', '\t', '\r':
			s.pos++
		case '#':
			n := strings.IndexByte(s.text[s.pos:], '\n')
			if n < 0 {
				n = len(s.text) - s.pos
			}
			s.pos += n
		default:
			return
		}
	}
}

// dotted reads a name such as a."b.c".'d'.
func (s *scanner) dotted() ([]string, bool) {
	var name []string
	for {
		s.space()
		part, ok := s.part()
		if !ok {
			return nil, false
		}
		name = append(name, part)
		if len(name) > maxDepth {
			s.found.deep = s.line
			return nil, false
		}
		if !s.skip(".") {
			return name, true
		}
	}
}

// part reads one part of a dotted name.
func (s *scanner) part() (string, bool) {
	start := s.pos
	if s.at(`"`) || s.at(`'`) {
		if s.at(`"""`) || s.at(`'''`) || !s.str() {
			return "", false
		}
		raw := s.text[start:s.pos]
		if raw[0] == '\'' {
			return raw[1 : len(raw)-1], true
		}
		return unescape(raw[1 : len(raw)-1]), true
	}
	for s.pos < len(s.text) && bareKeyByte(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos], s.pos > start
}

func bareKeyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// str passes over one string of any of TOML's four kinds.
func (s *scanner) str() bool {
	quote := s.text[s.pos]
	for _, long := range []string{`"""`, `'''`} {
		if s.at(long) {
			s.pos += 3
			return s.until(quote, 3)
		}
	}
	s.pos++
	return s.until(quote, 1)
}

// until passes over the rest of a string that ends with n quotes. A string in
// three quotes may hold line ends, and up to two quotes right before its end.
func (s *scanner) until(quote byte, n int) bool {
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		switch {
		case c == '\n' && n == 1:
			return false
		case c == '\n':
			s.line++
		case c == '\\' && quote == '"':
			s.pos++
			if s.pos < len(s.text) && s.text[s.pos] == '\n' {
				continue // let the line be counted
			}
		case c == quote && (n == 1 || s.at(strings.Repeat(string(quote), n))):
			s.pos += n
			for more := 0; n == 3 && more < 2 && s.pos < len(s.text) && s.text[s.pos] == quote; more++ {
				s.pos++
			}
			return true
		}
		s.pos++
	}
	s.pos = min(s.pos, len(s.text))
	return false
}

// unescape resolves the escapes of a basic string, so that "a\u0062" and ab are
// seen to be one key. What it does not know it keeps: the TOML library will
// refuse the file.
func unescape(raw string) string {
	if !strings.Contains(raw, `\`) {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			b.WriteByte(raw[i])
			continue
		}
		i++
		digits := 0
		switch c := raw[i]; c {
		case 'b':
			b.WriteByte('\b')
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'f':
			b.WriteByte('\f')
		case 'r':
			b.WriteByte('\r')
		case 'e':
			b.WriteByte(0x1b)
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			b.WriteByte(c)
		}
		if digits > 0 && i+digits < len(raw) {
			if n, err := strconv.ParseUint(raw[i+1:i+1+digits], 16, 32); err == nil && n <= utf8.MaxRune {
				b.WriteRune(rune(n))
				i += digits
			}
		}
	}
	return b.String()
}
