package deps

import _ "github.com/unknown/thing" // WANT "blank import"
