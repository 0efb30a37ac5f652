package nearest

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Name returns the candidate that takes the fewest edits to become name, case, dashes and underscores aside, and the
// first of several. It is empty only when there is no candidate.
func Name(name string, candidates []string) string {
	best, bestDistance := "", 0
	for _, candidate := range candidates {
		distance := levenshtein.ComputeDistance(squeeze(name), squeeze(candidate))
		if best == "" || distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// Hint returns the end of an error message about an unknown name: `; did you mean "region"?`, or nothing when there
// is no candidate.
func Hint(name string, candidates []string) string {
	best := Name(name, candidates)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// squeeze leaves out what people do not remember of a name. Very long names are cut: nobody means them, and the
// comparison takes time in proportion to their length.
func squeeze(name string) string {
	const longest = 64
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name[:min(longest, len(name))]))
}
