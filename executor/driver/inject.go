package driver

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"envrole/roles/fault"
)

// maxFirstLine is how much of a script is looked at, in bytes. The kernel itself
// reads 256 of a first line that names an interpreter.
const maxFirstLine = 4096

// bom begins the scripts that the runner writes for Windows PowerShell.
const bom = "\xef\xbb\xbf"

var (
	errKind    = errors.New("neither a script for a POSIX shell nor for PowerShell")
	errNotText = errors.New("not UTF-8, which a PowerShell script must be")
	errName    = errors.New("not the name of a variable")
	errValue   = errors.New("a value cannot hold a NUL")
)

// variable is one to export. Its value may be any bytes but NUL; error texts
// never show it.
type variable struct{ name, value string }

// variables reads "K=v" of the caller of Run; the last one of a name wins.
func variables(env []string) ([]variable, error) {
	const op = "give the session to the wrapped driver"
	var out []variable
	for _, kv := range env {
		name, value, ok := strings.Cut(kv, "=")
		switch {
		case !ok || !variableName(name): // without "=" all of it may be a value
			return nil, fault.New(fault.Internal, op, "", errName, "")
		case strings.Contains(value, "\x00"):
			return nil, fault.New(fault.Internal, op, name, errValue, "")
		}
		out = slices.DeleteFunc(out, func(v variable) bool { return v.name == name })
		out = append(out, variable{name, value})
	}
	return out, nil
}

func variableName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// inject makes the beginning of a copy: what stands before the exports, and the
// exports. first is the beginning of the script, name its file's; the rest of
// the copy is the script from byte body on. Only the first line is ever looked
// at: the form of the rest depends on feature flags that authors set.
func inject(first []byte, name string, vars []variable) (head []byte, body int, err error) {
	line, end := first, "\n"
	if i := bytes.IndexByte(first, '\n'); i >= 0 {
		line = first[:i+1]
	}
	if bytes.HasSuffix(line, []byte("\r\n")) {
		end = "\r\n"
	}
	marked := bytes.HasPrefix(line, []byte(bom))
	text := bytes.TrimPrefix(line, []byte(bom))
	shebang := bytes.HasPrefix(text, []byte("#!"))
	if shebang && len(line) == maxFirstLine && line[len(line)-1] != '\n' {
		return nil, 0, fmt.Errorf("its first line: more than %d bytes", maxFirstLine)
	}
	if shebang {
		body = len(line)
		head = slices.Clone(line)
		if !bytes.HasSuffix(line, []byte("\n")) {
			head = append(head, end...)
		}
	} else if marked {
		body = len(bom)
		head = []byte(bom)
	}
	extension := strings.ToLower(filepath.Ext(name))
	program := ""
	if shebang {
		program = interpreter(string(text))
	}
	switch {
	case extension == ".ps1" || marked && !shebang || slices.Contains([]string{"pwsh", "powershell"}, program):
		head, err = powershellExports(head, vars, end)
	case extension == ".cmd" || extension == ".bat" || shebang && !posixShell(program):
		return nil, 0, errKind
	default:
		head = posixExports(head, vars)
	}
	return head, body, err
}

// interpreter is the name of the program in a first line.
func interpreter(line string) string {
	fields := strings.Fields(strings.TrimPrefix(line, "#!"))
	for i, f := range fields {
		base := strings.TrimSuffix(strings.ToLower(filepath.Base(f)), ".exe")
		switch {
		case i == 0 && (base == "env" || base == "busybox"):
		case strings.HasPrefix(f, "-") || strings.Contains(f, "="): // options of env
		default:
			return base
		}
	}
	return ""
}

func posixShell(program string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"}, program)
}
