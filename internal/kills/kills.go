// Package kills says how often the tests that kill processes do so: a few times in a short run, as often as the test says in a normal
// one, and as often as the environment says in a long one.
//
//	make crash KILLS=3000
package kills

import (
	"os"
	"strconv"
	"testing"
)

// Env is the variable that holds the number of kills of each test.
const Env = "KILLS"

// Count is the number of kills of a test that is content with usual; an eighth of them under -short.
func Count(t testing.TB, usual int) int {
	t.Helper()
	text := os.Getenv(Env)
	switch {
	case text == "" && testing.Short():
		return max(usual/8, 1)
	case text == "":
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number of kills, 1 or more", Env, text)
	}
	return n
}
