package driver

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// powershellExports appends lines that set vars in the environment in
// PowerShell, each ended as the script's own are. PowerShell reads a script as
// text: bytes that are not UTF-8 would become others, so they are refused.
func powershellExports(head []byte, vars []variable, end string) ([]byte, error) {
	for _, v := range vars {
		if !utf8.ValidString(v.value) {
			return nil, fmt.Errorf("the value of %s: %w", v.name, errNotText)
		}
		head = append(head, "$env:"+v.name+" = "+powershellQuote(v.value)+end...)
	}
	return head, nil
}

// powershellQuote writes a value as a verbatim string. PowerShell takes four
// typographic quotes for a single quote too; two in a row stand for the second.
// Source: PowerShell's language specification, 2.3.5.2 and "single-quote-character".
func powershellQuote(v string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range v {
		if r == '\'' || r >= '\u2018' && r <= '\u201b' {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}
