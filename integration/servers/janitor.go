package servers

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

// janitorScript waits for the end of its input, which comes when this process ends in whatever way, and then removes
// what it would leave behind: the process $1 (on Linux the kernel has killed it) and the directory $2.
const janitorScript = `trap '' HUP INT TERM
cat >/dev/null
kill -9 "$1" 2>/dev/null
for pause in 0 0.2 1; do
	sleep $pause
	rm -rf -- "$2" && break
done`

// janitor cleans up after the shared MinIO, whose life ends with the process and not with a test.
type janitor struct {
	input io.Closer // kept open for as long as this process lives
}

// hireJanitor starts a shell that kills pid and removes dir when this process has ended.
func hireJanitor(pid int, dir string) (*janitor, error) {
	cmd := exec.Command("sh", "-c", janitorScript, "janitor", strconv.Itoa(pid), dir)
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("clean up after MinIO: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("clean up after MinIO: %w", err)
	}
	return &janitor{input: input}, nil
}
