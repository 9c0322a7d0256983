package agent

import (
	"strconv"
	"strings"
)

// withRepository lets git work in a checkout that belongs to another user, as
// one does that the helper made, or an image whose user has another number. Git
// refuses that unless it is told by a configuration that is not the checkout's.
// What the image has told git in the same way stays.
func withRepository(env []string, dir string) []string {
	if dir == "" {
		return env
	}
	const count = "GIT_CONFIG_COUNT"
	n := 0
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, count+"="); ok {
			var err error
			if n, err = strconv.Atoi(v); err != nil || n < 0 {
				return env // git says what is wrong with it
			}
		}
	}
	for _, value := range []string{dir, dir + "/*"} { // and submodules, for git from 2.46 on
		i := strconv.Itoa(n)
		env = append(env, "GIT_CONFIG_KEY_"+i+"=safe.directory", "GIT_CONFIG_VALUE_"+i+"="+value)
		n++
	}
	return lastWins(append(env, count+"="+strconv.Itoa(n)))
}
