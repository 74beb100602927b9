from ca4._command import main

main()
