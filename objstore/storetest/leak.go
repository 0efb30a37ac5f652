package storetest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package and fails if they leave a goroutine of a store or a connection behind:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	if leaked := leaks(); leaked != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "left behind after all tests:\n%s\n", leaked)
		code = 1
	}
	os.Exit(code)
}

// leaks gives goroutines that are about to end some time to do so, and returns the stacks of the others.
func leaks() string {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		leaked := suspects()
		if leaked == "" || time.Now().After(deadline) {
			return leaked
		}
	}
}

// suspects returns the stacks of all goroutines but this one that are in a store or hold a connection.
func suspects() string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var all []string
	for i, stack := range strings.Split(string(stacks), "\n\n") {
		if i > 0 && (strings.Contains(stack, "litefs-s3/objstore") || strings.Contains(stack, "net/http.(*persistConn)")) {
			all = append(all, stack)
		}
	}
	return strings.Join(all, "\n\n")
}
