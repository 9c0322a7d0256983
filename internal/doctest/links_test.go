package doctest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/BurntSushi/toml"

	"envrole/internal/bases"
	"envrole/roles/settings"
)

// unfenced is a page without its fenced blocks.
func unfenced(text string) string {
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			out.WriteString(line)
		}
	}
	return out.String()
}

// anchors are the fragments that GitLab and GitHub make of a page's headings.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(unfenced(text)) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		out[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return r
			}
			return -1
		}, heading)] = true
	}
	return out
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	n := 0
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(unfenced(page(t, p)), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			n++
			file := p
			if target != "" {
				file = filepath.Join(filepath.Dir(p), target)
			}
			info, err := os.Stat(filepath.Join(root, file))
			switch {
			case err != nil:
				t.Errorf("%s: %s: there is no %s", p, m[1], file)
			case fragment != "" && (info.IsDir() || !anchors(page(t, file))[fragment]):
				t.Errorf("%s: %s: %s has no such heading", p, m[1], file)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d links", n)
	}
}

// What a page names as a path of the repository is there.
func TestNamedFilesExist(t *testing.T) {
	path := regexp.MustCompile(`^(cmd|roles|executor|internal|packaging|docs)/[\w./-]*$`)
	for _, p := range pages(t) {
		for _, word := range quoted(unfenced(page(t, p))) {
			if !path.MatchString(word) && word != "config.example.toml" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, word)); err != nil {
				t.Errorf("%s names %s, which is not there", p, word)
			}
		}
	}
}

// completed adds the tables that a configuration must have, where an example
// leaves them out.
func completed(text string) string {
	for name, table := range map[string]string{
		"[gitlab]": "[gitlab]\nurl = \"https://gitlab.example.com\"\n",
		"[aws]":    "[aws]\nregion = \"eu-central-1\"\n",
	} {
		if !strings.Contains(text, name) {
			text = table + "\n" + text
		}
	}
	return text
}

// runnerKeys are those of the runner's own file that the examples use
// (GitLab Runner, "Advanced configuration": global section, [[runners]],
// [runners.custom]).
func runnerKeys() map[string]bool {
	keys := map[string]bool{}
	for k := range strings.FieldsSeq(`concurrent runners runners.name runners.url runners.token runners.executor runners.limit runners.custom
		runners.custom.config_exec runners.custom.config_args runners.custom.config_exec_timeout
		runners.custom.prepare_exec runners.custom.prepare_args runners.custom.prepare_exec_timeout
		runners.custom.run_exec runners.custom.run_args
		runners.custom.cleanup_exec runners.custom.cleanup_args runners.custom.cleanup_exec_timeout
		runners.custom.graceful_kill_timeout runners.custom.force_kill_timeout`) {
		keys[k] = true
	}
	return keys
}

func TestTOMLBlocksAreUsable(t *testing.T) {
	configs, runners := 0, 0
	for _, b := range blocksOf(t, "", "toml") {
		if !strings.Contains(b.text, "[[runners]]") {
			configs++
			if _, err := settings.Parse(b.page, []byte(completed(b.text)), bases.Lean().Tables()); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
			continue
		}
		runners++
		var doc struct {
			Runners []struct {
				Executor string
				Custom   map[string]any
			}
		}
		meta, err := toml.Decode(b.text, &doc)
		if err != nil || len(doc.Runners) != 1 || doc.Runners[0].Executor != "custom" {
			t.Errorf("%s:%d: %v", b.page, b.line, err)
			continue
		}
		for _, key := range meta.Keys() {
			if !runnerKeys()[key.String()] {
				t.Errorf("%s:%d: the runner has no key %s", b.page, b.line, key)
			}
		}
		for _, stage := range []string{"config", "prepare", "run", "cleanup"} {
			if exec, _ := doc.Runners[0].Custom[stage+"_exec"].(string); exec != "/usr/local/bin/envrole-"+stage {
				t.Errorf("%s:%d: %s_exec is %q", b.page, b.line, stage, exec)
			}
		}
	}
	if configs < 10 || runners < 2 {
		t.Errorf("only %d configurations and %d runners found", configs, runners)
	}
}

func TestJSONBlocksParse(t *testing.T) {
	for _, b := range blocksOf(t, "", "json") {
		if !json.Valid([]byte(b.text)) {
			t.Errorf("%s:%d: not JSON", b.page, b.line)
		}
	}
}
