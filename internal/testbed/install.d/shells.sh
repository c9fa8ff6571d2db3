# The terminal: tmux drives the prompt, shells judge the completion, mandoc the man pages.
need=()
for program in tmux bash fish zsh mandoc; do
	command -v "$program" >/dev/null || need+=("$program")
done
[ ${#need[@]} -eq 0 ] || apt_packages "${need[@]}"
