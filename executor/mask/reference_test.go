package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// This file is a second, slow filter that tries every form at every byte. Its
// forms come out of the standard library's encoders, not out of forms.go.

// refForms lists the forms of a secret of printable ASCII.
func refForms(secret string) [][][]string {
	lower := hex.EncodeToString([]byte(secret))
	forms := [][][]string{refSpell(secret), refSpell(lower), refSpell(strings.ToUpper(lower))}
	for align := range 3 {
		// What stays the same whatever stands before and after the secret.
		a := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", align) + secret + "\x00\x00\x00"))
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", align) + secret + "\xff\xff\xff"))
		var core []byte
		for i := range min(len(a), len(b)) {
			if a[i] == b[i] && a[i] != '=' {
				core = append(core, a[i])
			}
		}
		f := refSpell(string(core))
		for i, c := range core {
			if u := strings.NewReplacer("+", "-", "/", "_").Replace(string(c)); u != string(c) {
				f[i] = append(f[i], u)
			}
		}
		forms = append(forms, f)
	}
	return forms
}

// refTails says for the end of each of refForms' forms which characters may be
// the last one, whose bits are in part the secret's, and which one is if the
// text ends there, with how much padding.
type refTail struct {
	chars string
	end   byte
	pads  int
}

func refTails(secret string) []refTail {
	tails := make([]refTail, 3) // plain and hex have none
	for align := range 3 {
		before := strings.Repeat("\x00", align) + secret
		ended := base64.StdEncoding.EncodeToString([]byte(before))
		var t refTail
		if t.pads = strings.Count(ended, "="); t.pads > 0 && !strings.HasSuffix(ended, "====") {
			i := len(ended) - t.pads - 1
			t.end = ended[i]
			for next := range 256 {
				c := base64.StdEncoding.EncodeToString([]byte(before + string([]byte{byte(next), 0})))[i]
				if strings.IndexByte(t.chars, c) < 0 {
					t.chars += string(rune(c))
				}
			}
		}
		tails = append(tails, t)
	}
	return tails
}

// read gives the length of the tail at the start of text, and of its part that
// may be the beginning of a spelling and is to be held back.
func (r refTail) read(text string) (n, held int) {
	one := func(i int, c byte) (int, int) {
		spellings := refSpell(string(rune(c)))[0]
		if u := strings.NewReplacer("+", "-", "/", "_").Replace(string(rune(c))); u != string(rune(c)) {
			spellings = append(spellings, u)
		}
		cut := 0
		for _, s := range spellings {
			if strings.HasPrefix(text[i:], s) {
				return len(s), 0
			}
			if strings.HasPrefix(s, text[i:]) {
				cut = len(text) - i
			}
		}
		return 0, cut
	}
	for _, c := range []byte(r.chars) {
		k, cut := one(0, c)
		held = max(held, cut)
		if k == 0 {
			continue
		}
		n = k
		for pad := 0; c == r.end && pad < r.pads; pad++ {
			k, cut := one(n, '=')
			held = max(held, cut)
			if k == 0 {
				break
			}
			n += k
		}
		return n, held
	}
	return 0, held
}

// refSpell lists for each character what encoders make of it.
func refSpell(text string) [][]string {
	var f [][]string
	for _, c := range text {
		plain, _ := json.Marshal(string(c))
		short := strings.Trim(string(plain), `"`)
		if c == '"' {
			short = `\"`
		}
		s := []string{string(c), short, url.QueryEscape(string(c)), url.PathEscape(string(c))}
		if !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) {
			s = append(s, fmt.Sprintf("%%%02x", c), fmt.Sprintf("%%%02X", c), fmt.Sprintf(`\u%04x`, c), fmt.Sprintf(`\u%04X`, c))
		}
		if c == '/' {
			s = append(s, `\/`)
		}
		slices.Sort(s)
		f = append(f, slices.Compact(s))
	}
	return f
}

// refMatch finds the longest occurrence of a form at the start of t (0 if
// none), and whether t ends inside one.
func refMatch(t string, form [][]string, tail refTail) (longest int, cut bool, held int) {
	at := []int{0}
	for _, spellings := range form {
		var next []int
		for _, i := range at {
			for _, s := range spellings {
				j, end := refRead(t, i, s)
				cut = cut || end
				if j > 0 && !slices.Contains(next, j) {
					next = append(next, j)
				}
			}
		}
		at = next
	}
	for _, i := range at {
		n, h := tail.read(t[i:])
		longest, held = max(longest, i+n), max(held, h)
	}
	return longest, cut, held
}

// refRead reads s at t[i:] over line breaks: the index after it, 0 if it is not
// there, and whether t ended first.
func refRead(t string, i int, s string) (after int, cut bool) {
	for j := range len(s) {
		gap := 0
		for i > 0 && i < len(t) && (t[i] == '\n' || t[i] == '\r') && gap < 4 {
			i, gap = i+1, gap+1
		}
		if i == len(t) {
			return 0, true
		}
		if t[i] != s[j] {
			return 0, false
		}
		i++
	}
	return i, false
}

// reference is the slow filter: the forms of its secrets.
type reference struct {
	forms [][][]string
	tails []refTail
}

func newReference(secrets []string) reference {
	var r reference
	for _, s := range secrets {
		r.forms = append(r.forms, refForms(s)...)
		r.tails = append(r.tails, refTails(s)...)
	}
	return r
}

// filter is what must become of the whole stream t; held is the length of the
// end that must be held back, should the stream go on.
func (r reference) filter(t string) (out string, markers, held int) {
	type interval struct{ from, to int }
	var found []interval
	for i := range t {
		to := 0
		for k, f := range r.forms {
			n, cut, tail := refMatch(t[i:], f, r.tails[k])
			to = max(to, n)
			held = max(held, tail)
			if cut {
				held = max(held, len(t)-i)
			}
		}
		if to > 0 {
			found = append(found, interval{i, i + to})
		}
	}
	if cutOff := strings.TrimRight(t[len(t)-held:], "\r\n"); len(strings.NewReplacer("\r", "", "\n", "").Replace(cutOff)) >= 8 {
		found = append(found, interval{len(t) - held, len(t) - held + len(cutOff)})
	}
	slices.SortFunc(found, func(a, b interval) int { return a.from - b.from })
	var b strings.Builder
	end := 0
	for _, v := range found {
		if markers == 0 || v.from >= end {
			b.WriteString(t[end:v.from] + "[MASKED]")
			markers++
		}
		end = max(end, v.to)
	}
	b.WriteString(t[end:])
	return b.String(), markers, held
}
