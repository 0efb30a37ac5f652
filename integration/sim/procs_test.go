package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// countsEnv names, in a process that runs some of the seeds of another, the file that gets its counts.
const countsEnv = "LITEFS_S3_SIM_COUNTS"

func isChild() bool { return os.Getenv(countsEnv) != "" }

// runProcesses shares n seeds among processes, of which each runs one world at a time.
func runProcesses(t *testing.T, n int, all *totals) {
	var wg sync.WaitGroup
	first := *firstSeed
	for i := range *processes {
		share := n*(i+1)/(*processes) - n*i/(*processes)
		from := first
		first += uint64(share)
		wg.Go(func() {
			if err := runProcess(fmt.Sprintf("%s/%d", t.TempDir(), i), from, share, all); err != nil {
				t.Errorf("seeds %d to %d: %v", from, from+uint64(share)-1, err)
			}
		})
	}
	wg.Wait()
}

// runProcess runs n seeds in a process of their own.
func runProcess(counts string, first uint64, n int, all *totals) error {
	cmd := exec.Command(os.Args[0], "-test.run=^TestSim$", "-test.timeout=0", "-sim.procs=0", fmt.Sprintf("-sim.first=%d", first),
		fmt.Sprintf("-sim.seeds=%d", n), fmt.Sprintf("-sim.steps=%d", *steps), fmt.Sprintf("-sim.trace=%d", *traceLines))
	cmd.Env = append(os.Environ(), countsEnv+"="+counts)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out.String())
	}
	data, rerr := os.ReadFile(counts)
	if rerr != nil { // it has not come to its end
		return errors.Join(err, rerr)
	}
	return all.receive(data, err)
}

// send writes the counts for the process that has started this one.
func (a *totals) send() {
	a.mu.Lock()
	defer a.mu.Unlock()
	data, err := json.Marshal(a.counts)
	if err == nil {
		err = os.WriteFile(os.Getenv(countsEnv), data, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// receive adds what a process has sent, which ended with err.
func (a *totals) receive(data []byte, err error) error {
	var counts [len(countNames)]int64
	if jerr := json.Unmarshal(data, &counts); jerr != nil {
		return jerr
	}
	a.add(counts)
	return err
}
