package ticker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		stop := Every(time.Second, func() { calls++ })
		time.Sleep(3500 * time.Millisecond)
		stop()
		if calls != 4 {
			t.Errorf("called %d times in three and a half intervals, and at the end", calls)
		}
	})
}
