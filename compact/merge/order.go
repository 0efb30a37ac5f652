package merge

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

// order returns the inputs oldest first. Where two hold the same page, the one that ends later has the newer version.
func order(files []index.File) []index.File {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b index.File) int {
		return cmp.Or(cmp.Compare(a.Max, b.Max), cmp.Compare(b.Min, a.Min))
	})
	return files
}

// checkContiguous refuses inputs that do not make up the target: a transaction in none of them, or others beside it.
func checkContiguous(files []index.File, to Target) error {
	if len(files) == 0 {
		return fmt.Errorf("nothing to merge into L%d/%s-%s", to.Level, to.Min, to.Max)
	}
	byMin := slices.Clone(files)
	slices.SortStableFunc(byMin, func(a, b index.File) int { return cmp.Compare(a.Min, b.Min) })
	lowest, last := byMin[0].Min, byMin[0].Max
	for i := range byMin {
		f := &byMin[i]
		if f.Min > last+1 {
			return fmt.Errorf("transactions %s to %s are in no input: the next one is %s: %w", last+1, f.Min-1, f, index.ErrGap)
		}
		last = max(last, f.Max)
	}
	if to.Restated && lowest == 1 && last < to.Max {
		return nil
	}
	if lowest != to.Min || last > to.Max {
		return fmt.Errorf("inputs of transactions %s to %s do not make a file of %s to %s", lowest, last, to.Min, to.Max)
	}
	return nil
}
